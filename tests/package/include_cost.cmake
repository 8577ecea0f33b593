# What the library costs to include, as ratios of user CPU time in one run. Each time is the least
# of its compilations: other work on the machine only adds to it. Fails above a limit, after two
# more rounds of compilations. The target of the first row is 250; limits leave a tenth to noise.
# What takes long is compiled once a round, or RUNS times where RUNS is given.
# cmake -D COMPILER=<c++> -D TREE=<repository> [-D RUNS=<n>] [-D BEFORE=<older checkout>]
#   -P include_cost.cmake
# BEFORE adds the rows that compare with an older checkout; these only print.
cmake_minimum_required(VERSION 3.25)
set(programs ${RUNS})
if(NOT RUNS)
  set(RUNS 3)
  set(programs 1)
endif()
set(scratch ${CMAKE_CURRENT_BINARY_DIR}/include_cost)
file(MAKE_DIRECTORY ${scratch})

# The standard headers that the host rooms named when the list was fixed.
set(standard algorithm array atomic bit cassert charconv chrono cmath compare concepts
  condition_variable cstddef cstdint cstring deque exception fstream functional initializer_list
  iosfwd istream iterator limits list map memory mutex numeric optional ostream set span stdexcept
  stop_token string string_view system_error thread tuple type_traits unordered_map utility vector)
list(TRANSFORM standard REPLACE "(.+)" "#include <\\1>\n")
list(JOIN standard "" text)
file(WRITE ${scratch}/standard.cpp "${text}")
foreach(header IN ITEMS shunt solve plan solve/pipeline/slipstream solve/experts/swift_moe)
  string(MAKE_C_IDENTIFIER ${header} name)
  file(WRITE ${scratch}/${name}.cpp "#include \"shunt/${header}.hpp\"\n")
endforeach()
set(quick_start ${TREE}/examples/quick_start/main.cpp)

# cost(<variable> <compiler's arguments>...): adds the user milliseconds of one compilation to the
# list of that name.
function(cost variable)
  execute_process(COMMAND bash -c "TIMEFORMAT=%3U; time \"$@\" 2>/dev/null" bash
      ${COMPILER} -std=c++20 ${ARGN}
    ERROR_VARIABLE seconds RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "does not compile: ${ARGN}")
  endif()
  string(REGEX REPLACE "[^0-9]" "" milliseconds "${seconds}")
  set(${variable} ${${variable}} ${milliseconds} PARENT_SCOPE)
endfunction()

set(check -fsyntax-only)
set(object -O2 -c -o ${scratch}/out.o)
set(old "")
if(BEFORE)
  set(old -I${BEFORE}/include)
endif()
set(compiled ${check} -DSHUNT_COMPILED -I${TREE}/include)
macro(compile_all)
  foreach(run RANGE 1 ${RUNS})
    cost(standard_headers ${check} ${scratch}/standard.cpp)
    cost(compiled_shunt ${compiled} ${scratch}/shunt.cpp)
  endforeach()
  foreach(run RANGE 1 ${programs})
    cost(compiled_solve ${compiled} ${scratch}/solve.cpp)
    cost(compiled_plan ${compiled} ${scratch}/plan.cpp)
    cost(header_only_shunt ${check} -I${TREE}/include ${scratch}/shunt.cpp)
    if(BEFORE)
      cost(before_shunt ${check} ${old} ${scratch}/shunt.cpp)
      foreach(header IN ITEMS solve_pipeline_slipstream solve_experts_swift_moe)
        cost(compiled_${header} ${compiled} ${scratch}/${header}.cpp)
        cost(before_${header} ${check} ${old} ${scratch}/${header}.cpp)
      endforeach()
    endif()
    cost(compiled_quick_start ${object} -DSHUNT_COMPILED -I${TREE}/include ${quick_start})
    cost(header_only_quick_start ${object} -I${TREE}/include ${quick_start})
    if(BEFORE)
      cost(before_quick_start ${object} ${old} ${BEFORE}/examples/quick_start/main.cpp)
    endif()
  endforeach()
endmacro()

# row(<text> <what> <over what> <limit in hundredths or ->)
function(least variable)
  list(SORT ${variable} COMPARE NATURAL)
  list(GET ${variable} 0 value)
  set(${variable}_least ${value} PARENT_SCOPE)
endfunction()
function(row text what over limit)
  least(${what})
  least(${over})
  math(EXPR ratio "(${${what}_least} * 100 + ${${over}_least} / 2) / ${${over}_least}")
  set(verdict "")
  if(NOT limit STREQUAL "-")
    set(verdict "at most ${limit}")
    if(ratio GREATER limit)
      set(verdict "${verdict}: MISSED")
      math(EXPR missed "${missed} + 1")
      set(missed ${missed} PARENT_SCOPE)
    endif()
  endif()
  message("${ratio} %  ${text} (${${what}_least} ms / ${${over}_least} ms)  ${verdict}")
endfunction()

macro(print_rows)
  set(missed 0)
  row("shunt.hpp, compiled mode / its standard headers" compiled_shunt standard_headers 275)
  row("shunt.hpp, header-only / the same" header_only_shunt standard_headers 1600)
  row("solve.hpp, compiled mode / the same" compiled_solve standard_headers -)
  row("plan.hpp, compiled mode / the same" compiled_plan standard_headers -)
  row("quick start at -O2, compiled mode / header-only"
    compiled_quick_start header_only_quick_start 25)
  if(BEFORE)
    row("shunt.hpp, header-only / before" header_only_shunt before_shunt -)
    row("quick start at -O2, compiled mode / before" compiled_quick_start before_quick_start -)
    row("slipstream.hpp, compiled mode / before"
      compiled_solve_pipeline_slipstream before_solve_pipeline_slipstream -)
    row("swift_moe.hpp, compiled mode / before"
      compiled_solve_experts_swift_moe before_solve_experts_swift_moe -)
  endif()
endmacro()

foreach(round RANGE 1 3)
  compile_all()
  print_rows()
  if(NOT missed)
    break()
  endif()
endforeach()
if(missed)
  message(FATAL_ERROR "${missed} ratios above their limit")
endif()
