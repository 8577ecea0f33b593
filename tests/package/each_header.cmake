# Each header compiles when it is the first thing that a unit sees, and so does its implementation
# behind it: cmake -D COMPILER=<c++> -D INCLUDE=<folder> -D HEADERS=<a|b|...> -D SYSTEM=<folder|...>
#   -D OPTIONS=<option|...> -P each_header.cmake
# HEADERS are relative to INCLUDE. Prints the compiler's first lines for each header that fails.
cmake_minimum_required(VERSION 3.25)

string(REPLACE "|" ";" HEADERS "${HEADERS}")
string(REPLACE "|" ";" OPTIONS "${OPTIONS}")
string(REPLACE "|" ";" folders "${SYSTEM}")
set(system "")
foreach(folder IN LISTS folders)
  if(folder AND NOT folder STREQUAL INCLUDE AND NOT folder STREQUAL "/usr/include")
    list(APPEND system -isystem ${folder})
  endif()
endforeach()

set(failed 0)
foreach(header IN LISTS HEADERS)
  set(units -include ${header})
  string(REGEX REPLACE "\\.hpp$" ".ipp" implementation ${header})
  if(EXISTS ${INCLUDE}/${implementation} AND "-DSHUNT_COMPILED" IN_LIST OPTIONS)
    list(APPEND units -include ${implementation})
  endif()
  execute_process(RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only -w ${OPTIONS} -I ${INCLUDE} ${system} ${units}
      -x c++ /dev/null)
  if(NOT status EQUAL 0)
    string(REGEX MATCH "^([^\n]*\n?[^\n]*\n?[^\n]*\n?[^\n]*)" text "${text}")
    message("${header} does not compile alone:\n${text}")
    math(EXPR failed "${failed} + 1")
  endif()
endforeach()

list(LENGTH HEADERS count)
if(failed OR NOT count)
  message(FATAL_ERROR "${failed} of ${count} headers do not compile alone")
endif()
message("${count} headers compile alone")
