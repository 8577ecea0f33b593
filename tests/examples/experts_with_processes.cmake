# adaptive_experts --engine gloo: ranks that are really killed, by the program and by hand; under a
# launcher; and what is said where they can't go on. Whatever happens, no process and no file is
# left behind.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P experts_with_processes.cmake
cmake_minimum_required(VERSION 3.25)

set(program ${PROGRAMS}/adaptive_experts)
set(small --ranks 4 --slots 3 --experts 5 --tokens 32 --width 8 --hidden 8 --embedding 4 --text
  ${SCRATCH}/text.txt)
list(JOIN small " " small_words)
include(${CMAKE_CURRENT_LIST_DIR}/processes/script.cmake)

macro(run)
  execute_process(COMMAND ${program} ${small} ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out
    ERROR_VARIABLE err)
endmacro()

# succeeds(<pattern>...): status 0, nothing on standard error, and all of these were said.
function(succeeds)
  if(NOT status EQUAL 0 OR NOT err STREQUAL "")
    fail("should succeed")
  endif()
  says(${ARGN})
endfunction()

run(--engine gloo --iterations 1)
if(err MATCHES "this build has no Gloo")
  message(STATUS "skipped: ${err}")
  return()
endif()

# Every policy, with drops: line by line what threads say, and the files that they leave.
set(loss "[a-z_]+ iteration [0-9]+ loss [^\n]+")
foreach(engine IN ITEMS threads gloo)
  run(--engine ${engine} --iterations 4 --policy swift_moe,uniform,random --out ${SCRATCH}/${engine}
    --trace ${SCRATCH}/${engine}.csv)
  succeeds("formula sNG [0-9]+, counted [0-9]+" "\nswift_moe: dropped ")
  string(REGEX MATCHALL "${loss}" ${engine} "${out}")
  file(READ ${SCRATCH}/${engine}.csv ${engine}_trace)
  file(READ ${SCRATCH}/${engine}/iterations.csv ${engine}_table)
endforeach()
list(LENGTH gloo lines)
if(NOT lines EQUAL 12 OR NOT gloo STREQUAL threads OR NOT gloo_trace STREQUAL threads_trace
  OR NOT gloo_table STREQUAL threads_table)
  fail("processes train otherwise than threads")
endif()
nothing_is_left(${place})

# No loss; one; two, under policies that place experts in different ways. Losses and parameters of a
# run without losses, to the last bit.
run(--engine gloo --iterations 6 --dropless --policy random,uniform)
succeeds("\nidentical: 6 losses and [0-9]+ parameters of random, uniform and random without \
losses\n$")
set(cost "detect [0-9.]+ ms, agree [0-9.]+ ms, re-plan [0-9.]+ ms, restore [0-9.]+ ms \\([0-9]+ \
steps undone, [1-9][0-9]* bytes of optimizer state copied\\), rebuild [0-9.]+ ms, redo [0-9.]+ ms \
\\([0-9]+ instructions lost\\)")
run(--engine gloo --iterations 6 --policy swift_moe --shards mirrored --kill 3@2)
succeeds("\nrank 3 fell silent in iteration 2\n" "\nrecovery from rank 3 in iteration 2: ${cost}\n"
  "\nidentical: 6 losses and [0-9]+ parameters of swift_moe and swift_moe without losses\n$")
run(--engine gloo --iterations 8 --policy swift_moe,random --shards mirrored --kill 0@2,3@4
  --collection reduce_then_gather)
succeeds("\nrecovery from rank 0 in iteration 2: ${cost}\nrecovery from rank 3 in iteration 4: \
${cost}\n"
  "\nidentical: 8 losses and [0-9]+ parameters of swift_moe, random and swift_moe without \
losses\n$")
# together, or one after the other
run(--engine gloo --iterations 5 --policy uniform --shards mirrored --copies 3 --kill 1@2,2@2
  --kill-at 30)
succeeds("\nidentical: 5 losses and [0-9]+ parameters of uniform and uniform without losses\n$")
nothing_is_left(${place})

# kill -9 from another shell, of whichever process. What another run of this script has written
# names processes that are not ours.
file(REMOVE ${SCRATCH}/by_hand.txt ${SCRATCH}/ended.txt ${SCRATCH}/lost.txt)
shell("${program} --engine gloo ${small_words} --iterations 40 --policy swift_moe --dropless \
--shards mirrored > by_hand.txt & run=$!
  until grep -qs '^swift_moe iteration 3 ' by_hand.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -9 $(sed -n 's/^rank 1 is process //p' by_hand.txt)
  wait $run; status=$?; cat by_hand.txt; exit $status")
succeeds("\nrank 1 fell silent in iteration [0-9]+\n"
  "\nrecovery from rank 1 in iteration [0-9]+: ${cost}\n"
  "\nidentical: 40 losses and [0-9]+ parameters of swift_moe and swift_moe without losses\n$")
nothing_is_left(${place})

# Asked to end in the middle.
shell("${program} --engine gloo ${small_words} --iterations 100000 > ended.txt & run=$!
  until grep -qs '^swift_moe iteration 1 ' ended.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -TERM $run; wait $run")
if(NOT status EQUAL 2 OR NOT err STREQUAL "error: interrupted: all workers were ended\n")
  fail("ended in the middle")
endif()
nothing_is_left(${place})

# Optimizer state is lost with a rank that alone held it: refused where it is asked for, said where
# it happens.
set(lost "in each of 2 layers: no live rank holds the optimizer's state of elements [^\n]* \
\\(dead: 3\\)")
run(--engine gloo --iterations 6 --policy swift_moe --kill 3@2)
if(NOT status EQUAL 2 OR NOT out STREQUAL ""
  OR NOT err MATCHES "^error: --kill: loses shards in iteration 2, ${lost}\n$")
  fail("uniform shards")
endif()
shell("${program} --engine gloo ${small_words} --policy swift_moe --iterations 100000 > lost.txt &
  run=$!
  until grep -qs '^swift_moe iteration 1 ' lost.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -9 $(sed -n 's/^rank 3 is process //p' lost.txt)
  wait $run; status=$?; cat lost.txt; exit $status")
if(NOT status EQUAL 2 OR NOT out MATCHES "\nrank 3 fell silent in iteration [0-9]+\n$"
  OR NOT err MATCHES "^error: shards: lost in iteration [0-9]+, ${lost}\n$")
  fail("uniform shards, killed by hand")
endif()
nothing_is_left(${place})

# launched(<argument>...): under a launcher, in ${SCRATCH}/meet. Sets `statuses`, one a rank.
function(launched)
  list(JOIN ARGN " " words)
  shell("rm -rf launched; mkdir launched; for r in 0 1 2 3; do
      (RANK=$r WORLD_SIZE=4 SHUNT_RENDEZVOUS=${SCRATCH}/meet SHUNT_INTERFACE=lo ${program} \
--engine gloo ${small_words} --policy swift_moe \
        ${words} > launched/out$r 2> launched/err$r; echo $? > launched/status$r) 2> /dev/null &
    done; wait; cd launched; cat out*; cat err* | grep -v '^Killed$' >&2; cat status* | tr '\\n' ' \
' > status")
  file(READ ${SCRATCH}/launched/status statuses)
  foreach(variable IN ITEMS status out err statuses)
    set(${variable} "${${variable}}" PARENT_SCOPE)
  endforeach()
endfunction()
launched(--iterations 6 --shards mirrored --kill 0@2)
if(NOT statuses STREQUAL "137 0 0 0 ")
  fail("under a launcher: ${statuses}")
endif()
succeeds("^swift_moe iteration 0 " "\nrecovery from rank 0 in iteration 2: ${cost}\n"
  "\nidentical: 6 losses and [0-9]+ parameters of swift_moe and swift_moe without losses\n$")
nothing_is_left(${SCRATCH}/meet)
launched(--iterations 6 --kill 3@2)
if(NOT statuses STREQUAL "2 2 2 2 "
  OR NOT err MATCHES "^(error: --kill: loses shards in iteration 2, ${lost}\n)+$")
  fail("uniform shards under a launcher: ${statuses}")
endif()
nothing_is_left(${SCRATCH}/meet)

# refused(<pattern> <argument>...): status 2, and one line on standard error that matches.
function(refused pattern)
  run(--engine gloo ${ARGN})
  if(NOT status EQUAL 2 OR NOT err MATCHES "^error: [^\n]+\n$" OR NOT err MATCHES "${pattern}")
    fail("${ARGN}: should be refused with ${pattern}")
  endif()
  nothing_is_left(${place})
endfunction()
refused("rendezvous: cannot create /proc/nowhere" --rendezvous /proc/nowhere)
refused("rank [0-9]: [^\n]*no network interface nonsense" --interface nonsense)
refused("--workers: is 3, there are 4 ranks" --workers 3)
refused("patience: must be at least 1, is 0" --patience 0)
refused("--kill-at: rank 3 has [0-9]+ instructions in iteration 1" --kill 3@1 --kill-at 100000
  --policy uniform --shards mirrored)
refused("--trace: [^\n]*trace.csv can't be opened" --trace ${SCRATCH}/nowhere/trace.csv)
set(ENV{RANK} 1)
refused("WORLD_SIZE: is not set")
set(ENV{WORLD_SIZE} 5)
refused("WORLD_SIZE: is 5, there are 4 ranks")
set(ENV{WORLD_SIZE} 4)
refused("--policy: a launcher's processes train under one: name one")
refused("SHUNT_RENDEZVOUS: names no directory" --policy uniform)
set(ENV{SHUNT_RENDEZVOUS} ${SCRATCH}/meet)
set(ENV{SHUNT_JOIN} 1)
refused("SHUNT_JOIN: is set, and no rank comes back" --policy uniform)
foreach(variable IN ITEMS RANK WORLD_SIZE SHUNT_RENDEZVOUS SHUNT_JOIN)
  unset(ENV{${variable}})
endforeach()
file(REMOVE_RECURSE ${SCRATCH}/meet)
