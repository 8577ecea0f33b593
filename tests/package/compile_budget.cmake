# What shunt.hpp costs to include, beside the 43 standard headers that the rooms of the host library
# named at commit 501d8d5: cmake -D COMPILER=<c++> -D TREE=<repository> [-D OPTIONS=<option|...>]
#   -P compile_budget.cmake
# Each is parsed five times by turns in one run; the fastest of each count, so that the ratio holds
# on any machine. With -DSHUNT_COMPILED=1 among OPTIONS it may be at most limit_include_ratio.
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/limits.cmake)
string(REPLACE "|" ";" OPTIONS "${OPTIONS}")

set(standard algorithm array atomic bit cassert charconv chrono cmath compare concepts
  condition_variable cstddef cstdint cstring deque exception fstream functional initializer_list
  iosfwd istream iterator limits list map memory mutex numeric optional ostream set span stdexcept
  stop_token string string_view system_error thread tuple type_traits unordered_map utility vector)
list(TRANSFORM standard REPLACE "(.+)" "-include;\\1")

# Sets <out> to the least microseconds so far.
function(parse out)
  string(TIMESTAMP start "%s%f")
  execute_process(COMMAND_ERROR_IS_FATAL ANY
    COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${OPTIONS} -I ${TREE}/include ${ARGN}
      -x c++ /dev/null)
  string(TIMESTAMP end "%s%f")
  math(EXPR took "${end} - ${start}")
  if(NOT DEFINED ${out} OR took LESS ${out})
    set(${out} ${took} PARENT_SCOPE)
  endif()
endfunction()

foreach(round RANGE 1 5)
  parse(unit ${standard})
  foreach(umbrella IN ITEMS plan solve shunt)
    parse(${umbrella} -include shunt/${umbrella}.hpp)
  endforeach()
endforeach()

foreach(umbrella IN ITEMS plan solve shunt)
  math(EXPR hundredths "${${umbrella}} * 100 / ${unit}")
  math(EXPR whole "${hundredths} / 100")
  math(EXPR rest "${hundredths} % 100 + 100")
  string(SUBSTRING ${rest} 1 2 rest)
  set(ratio ${whole}.${rest})
  message("shunt/${umbrella}.hpp: ${ratio} times the standard headers")
endforeach()
if("-DSHUNT_COMPILED=1" IN_LIST OPTIONS AND ratio GREATER limit_include_ratio)
  message(FATAL_ERROR "shunt/shunt.hpp may cost at most ${limit_include_ratio} times as much")
endif()
