# train_through_failures --engine gloo: worker processes that stand still for about as long as makes
# the others give them up, and then go on. Whoever it is, every run comes to its end.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P stalled_workers.cmake
cmake_minimum_required(VERSION 3.25)

set(program ${PROGRAMS}/train_through_failures)
include(${CMAKE_CURRENT_LIST_DIR}/processes/script.cmake)
set(seed 11)
string(RANDOM LENGTH 1 ALPHABET 0 RANDOM_SEED ${seed} begun)

execute_process(COMMAND ${program} --engine gloo --pipelines 1 --stages 1 --iterations 1 --text
  ${SCRATCH}/text.txt OUTPUT_QUIET ERROR_VARIABLE err)
if(err MATCHES "this build has no Gloo")
  message(STATUS "skipped: ${err}")
  return()
endif()

# Sets `who` to a random worker of 3 pipelines of 4 stages that is not in `taken`.
macro(pick_worker)
  set(who "")
  while(who STREQUAL "" OR who IN_LIST taken)
    string(RANDOM LENGTH 1 ALPHABET 012 pipeline)
    string(RANDOM LENGTH 1 ALPHABET 0123 stage)
    set(who ${pipeline}:${stage})
  endwhile()
  list(APPEND taken ${who})
endmacro()

# stalled(<seconds> <workers>...): one after another these are stopped for so long. A pattern stands
# for several at once.
function(stalled pause)
  shell("rm -f stalled.txt
    ${program} --engine gloo --width 8 --hidden 16 --batch 4 --text text.txt --iterations 120 \
--timeout 1500 > stalled.txt & run=$!
    at=5
    for who in ${ARGN}; do
      until grep -qs \"^iteration $at \" stalled.txt; do kill -0 $run || exit 9; sleep 0.02; done
      processes=$(sed -n \"s/^worker $who is process //p\" stalled.txt)
      kill -STOP $processes; sleep ${pause}; kill -CONT $processes 2> /dev/null
      at=$(($(grep -c '^iteration ' stalled.txt) + 5))
    done
    wait $run; status=$?; cat stalled.txt; exit $status")
  if(NOT status EQUAL 0)
    fail("workers ${ARGN} stood still for ${pause} s each")
  endif()
  says("identical: 120 losses\n$")
  nothing_is_left(${place})
endfunction()

foreach(pause IN ITEMS 1.4 1.55 1.7)
  set(taken "")
  pick_worker()
  stalled(${pause} ${taken})
endforeach()

set(taken "")
foreach(n RANGE 1 3)
  pick_worker()
endforeach()
list(JOIN taken " " taken)
stalled(1.6 ${taken})

stalled(2.4 "[0-9]:[0-9]")
