# train_through_failures and adaptive_experts --engine gloo under a launcher whose processes share
# no directory: they meet at MASTER_ADDR and MASTER_PORT. What can be wrong with that is one line
# each. Whatever happens, no process is left behind.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P launched_at_port.cmake
cmake_minimum_required(VERSION 3.25)

set(program ${PROGRAMS}/train_through_failures)
set(small "--width 16 --hidden 24 --batch 8 --text ${SCRATCH}/text.txt --pipelines 2 --stages 2")
include(${CMAKE_CURRENT_LIST_DIR}/processes/script.cmake)

execute_process(COMMAND ${program} --engine gloo --pipelines 1 --stages 1 --iterations 1 --text
  ${SCRATCH}/text.txt OUTPUT_QUIET ERROR_VARIABLE err)
if(err MATCHES "this build has no Gloo")
  message(STATUS "skipped: ${err}")
  return()
endif()

set(rank RANK)
set(size WORLD_SIZE)

# launched(<ranks> <key> <words>): each rank of the list with `key`, rank 2 with `key_of_2` where
# that is set. Sets `statuses`, one a rank, and `port`.
function(launched ranks key words)
  find_free_port()
  if(NOT DEFINED key_of_2)
    set(key_of_2 "${key}")
  endif()
  shell("rm -rf launched; mkdir launched; n=0; more=
    for r in ${ranks}; do n=$((n+1))
      key=${key}; [ $r = 2 ] && key=${key_of_2}
      [ $n = 5 ] && [ '${fifth}' ] && sleep 1 && more=${fifth}
      (env $more ${rank}=$r ${size}=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=${port} \
SHUNT_RENDEZVOUS_KEY=$key ${program} --engine gloo ${words} \
        > launched/out$n 2> launched/err$n; echo $? > launched/status$n) 2> /dev/null &
    done; wait; cd launched; cat out*; cat err* | grep -v '^Killed$' >&2
    cat status* | tr '\\n' ' ' > status")
  file(READ ${SCRATCH}/launched/status statuses)
  execute_process(COMMAND pgrep -f "engine gloo.*${SCRATCH}" OUTPUT_VARIABLE left ERROR_QUIET)
  if(left)
    fail("left running: ${left}")
  endif()
  foreach(variable IN ITEMS status out err statuses port)
    set(${variable} "${${variable}}" PARENT_SCOPE)
  endforeach()
endfunction()

launched("0 1 2 3" secret "${small} --iterations 8 --kill 1:1@3")
if(NOT statuses STREQUAL "0 0 0 137 " OR NOT err STREQUAL "")
  fail("with a key: ${statuses}")
endif()
says("worker 1:1 fell silent: iteration [23] " "\n1:1 +[23] +[0-9.]+ " "identical: 8 losses\n$")

# Without a key one process says once that it is open to all.
launched("3 2 1 0" "" "${small} --iterations 4")
if(NOT statuses STREQUAL "0 0 0 0 " OR NOT err STREQUAL "warning: MASTER_PORT: anybody who reaches \
127.0.0.1:${port} can join; give all processes the same SHUNT_RENDEZVOUS_KEY\n")
  fail("without a key: ${statuses}")
endif()
says("identical: 4 losses\n$")

# Other launchers.
foreach(names IN ITEMS "OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE" "PMI_RANK PMI_SIZE"
  "SLURM_PROCID SLURM_NTASKS")
  separate_arguments(names)
  list(GET names 0 rank)
  list(GET names 1 size)
  launched("0 1 2 3" secret "${small} --iterations 2")
  if(NOT statuses STREQUAL "0 0 0 0 " OR NOT err STREQUAL "")
    fail("${rank}: ${statuses}")
  endif()
endforeach()
set(rank RANK)
set(size WORLD_SIZE)

# A process that comes in a dead one's place, later.
set(fifth SHUNT_JOIN=1)
launched("0 1 2 3 3" secret "${small} --iterations 12 --kill 1:1@3 --join 1:1@8")
unset(fifth)
if(NOT statuses STREQUAL "0 0 0 137 0 " OR NOT err STREQUAL "")
  fail("one joins: ${statuses}")
endif()
says("worker 1:1 joins with a copy" "identical: 12 losses\n$")

# Rank 0 dies, with the files in its memory: all others say so and end.
launched("0 1 2 3" secret "${small} --iterations 100 --kill 0:0@3")
if(NOT statuses STREQUAL "137 2 2 2 " OR NOT err MATCHES "^(error: 127.0.0.1:${port}: the process \
that held the rendezvous has gone: [^\n]+\n)+$")
  fail("rank 0 dies: ${statuses}")
endif()

launched("0 1 3" secret "${small} --iterations 8 --patience 1500")
if(NOT statuses STREQUAL "2 2 2 " OR NOT out STREQUAL ""
  OR NOT err MATCHES "^(error: 127.0.0.1:${port}: after 1500 ms these ranks did not come to \
epoch0: 2\n)+$")
  fail("one never starts: ${statuses}")
endif()

# Once and again the same rank: the second is refused and the others go on.
launched("0 1 2 3 1" secret "${small} --iterations 300")
if(NOT out MATCHES "identical: 300 losses\n$" OR NOT err MATCHES
  "^error: RANK: 1 is in 127.0.0.1:${port} already: two processes have this rank[^\n]*\n$")
  fail("one comes twice: ${statuses}")
endif()
launched("0 1 2 3 0" secret "${small} --iterations 300")
if(NOT out MATCHES "identical: 300 losses\n$" OR NOT err STREQUAL
  "error: MASTER_PORT: is ${port}, which another program uses on this host\n")
  fail("the port is in use: ${statuses}")
endif()

set(key_of_2 wrong)
launched("0 1 2 3" secret "${small} --iterations 8 --patience 1500")
if(NOT statuses STREQUAL "2 2 2 2 "
  OR NOT err MATCHES "error: SHUNT_RENDEZVOUS_KEY: is another one at 127.0.0.1:${port}\n"
  OR NOT err MATCHES "^(error: [^\n]+\n)+$")
  fail("another key: ${statuses}")
endif()
unset(key_of_2)

# refused(<pattern> <variable>=<value>...): status 2, and one line on standard error that matches.
function(refused pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env ${ARGN} ${program} --engine gloo --patience 300
    --pipelines 2 --stages 2 --text ${SCRATCH}/text.txt
    RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT status EQUAL 2 OR NOT err MATCHES "^error: [^\n]+\n$" OR NOT err MATCHES "${pattern}")
    fail("${ARGN}: should be refused with ${pattern}")
  endif()
endfunction()
find_free_port()
set(one RANK=1 WORLD_SIZE=4)
refused("MASTER_PORT: is not set" ${one} MASTER_ADDR=127.0.0.1)
refused("MASTER_ADDR: is not set" ${one} MASTER_PORT=${port})
refused("MASTER_PORT: \"none\" is not a whole number" ${one} MASTER_ADDR=127.0.0.1 MASTER_PORT=none)
refused("MASTER_ADDR: 127.0.0.1:${port}: cannot be reached within 300 ms: Connection refused" ${one}
  MASTER_ADDR=127.0.0.1 MASTER_PORT=${port})
refused("MASTER_ADDR: nowhere.invalid:${port}: cannot be reached within 300 ms: " ${one}
  MASTER_ADDR=nowhere.invalid MASTER_PORT=${port})
refused("MASTER_ADDR: cannot listen at nowhere.invalid:${port}: " RANK=0 WORLD_SIZE=4
  MASTER_ADDR=nowhere.invalid MASTER_PORT=${port})
refused("OMPI_COMM_WORLD_RANK: is 2, and RANK is 1" ${one} OMPI_COMM_WORLD_RANK=2
  OMPI_COMM_WORLD_SIZE=4)
refused("SLURM_NTASKS: is 8, and WORLD_SIZE is 4" ${one} SLURM_PROCID=1 SLURM_NTASKS=8)
refused("PMI_SIZE: is 6, 2 pipelines of 2 stages need 4" PMI_RANK=1 PMI_SIZE=6)

# The other program.
set(program ${PROGRAMS}/adaptive_experts)
launched("0 1 2 3" secret "--ranks 4 --slots 3 --experts 5 --tokens 32 --embedding 4 \
--iterations 6 --policy swift_moe --shards mirrored --kill 3@2 \
--width 8 --hidden 8 --text ${SCRATCH}/text.txt")
if(NOT statuses STREQUAL "0 0 0 137 " OR NOT err STREQUAL "")
  fail("experts: ${statuses}")
endif()
says("\nidentical: 6 losses and [0-9]+ parameters of swift_moe and swift_moe without losses\n$")
