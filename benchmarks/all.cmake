# Every benchmark program starts and lists its benchmarks, the first of which runs once.
# cmake -D "PROGRAMS=<program>;..." -P all.cmake
cmake_minimum_required(VERSION 3.25)
foreach(program IN LISTS PROGRAMS)
  execute_process(COMMAND ${program} --benchmark_list_tests
    OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" names "${names}")
  list(FILTER names INCLUDE REGEX "^[A-Za-z_:<>, ]+(/[^ ]*)?$")
  list(LENGTH names count)
  if(count EQUAL 0)
    message(FATAL_ERROR "${program} lists no benchmark")
  endif()
  list(GET names 0 first)
  execute_process(COMMAND ${program} --benchmark_filter=^${first}$ --benchmark_min_time=0.001
    OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(FIND "${output}" "${first}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "${program} did not run ${first}")
  endif()
  cmake_path(GET program FILENAME name)
  message("${name}: ${count} benchmarks")
endforeach()
