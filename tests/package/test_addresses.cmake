# The test of include/shunt/<room>/<header> stands in tests/<room>/<header>.cpp; what needs a GPU to
# run stands in tests/gpu/<header>.cu for include/shunt/cuda/<header>:
# cmake -D TREE=<repository> -P test_addresses.cmake
# Lists the headers that have none. Their number may only fall: see limits.cmake.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/limits.cmake)

file(GLOB_RECURSE headers RELATIVE ${TREE}/include/shunt
  ${TREE}/include/shunt/*/*.hpp ${TREE}/include/shunt/*/*.cuh)
set(without "")
foreach(header IN LISTS headers)
  string(REGEX REPLACE "\\.[a-z]+$" "" address ${header})
  string(REGEX REPLACE "^cuda/" "gpu/" on_gpu ${address})
  if(NOT EXISTS ${TREE}/tests/${address}.cpp AND NOT EXISTS ${TREE}/tests/${on_gpu}.cu)
    list(APPEND without ${header})
  endif()
endforeach()

list(LENGTH headers count)
list(LENGTH without missing)
list(JOIN without "\n  " lines)
message("${missing} of ${count} headers have no test of their name:\n  ${lines}")
if(NOT count OR missing GREATER limit_headers_without_test)
  message(FATAL_ERROR "at most ${limit_headers_without_test} are allowed")
endif()
if(missing LESS limit_headers_without_test)
  message("limit_headers_without_test in tests/package/limits.cmake can fall to ${missing}")
endif()
