# Each header compiles when it is the first of the project's that a unit sees, and so does its
# implementation behind it: cmake -D COMPILER=<c++> -D INCLUDE=<folder> -D HEADERS=<a|b|...>
#   -D SYSTEM=<folder|...> -D OPTIONS=<option|...> -D STANDARD=<file> -P each_header.cmake
# HEADERS are relative to INCLUDE; all standard headers stand before them, precompiled: STANDARD
# names them, and std_includes.sh tells whether a header names its own.
# Without HEADERS it writes STANDARD, with every standard header of INCLUDE, and precompiles it.
# Prints the compiler's first lines for each header that fails.
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

set(command ${COMPILER} -std=c++20 -w ${OPTIONS})
if(NOT HEADERS)
  set(text "")
  file(GLOB_RECURSE files ${INCLUDE}/shunt/*.hpp ${INCLUDE}/shunt/*.ipp)
  foreach(file IN LISTS files)
    file(STRINGS ${file} lines REGEX "^#include <[a-z_]+>$")
    list(APPEND text ${lines})
  endforeach()
  list(SORT text)
  list(REMOVE_DUPLICATES text)
  list(JOIN text "\n" text)
  file(WRITE ${STANDARD} "${text}\n")
  execute_process(COMMAND ${command} -x c++-header ${STANDARD} -o ${STANDARD}.gch
    COMMAND_ERROR_IS_FATAL ANY)
  return()
endif()

set(failed 0)
foreach(header IN LISTS HEADERS)
  set(units -include ${STANDARD} -include ${header})
  string(REGEX REPLACE "\\.hpp$" ".ipp" implementation ${header})
  if(EXISTS ${INCLUDE}/${implementation} AND "-DSHUNT_COMPILED" IN_LIST OPTIONS)
    list(APPEND units -include ${implementation})
  endif()
  execute_process(RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text
    COMMAND ${command} -fsyntax-only -I ${INCLUDE} ${system} ${units} -x c++ /dev/null)
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
