# train_through_failures --engine gloo: processes that are really killed, by the program, by hand
# and at random moments; under a launcher; and what can be wrong with where they meet. Whatever
# happens, no process and no file is left behind.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P train_with_processes.cmake
cmake_minimum_required(VERSION 3.25)

set(program ${PROGRAMS}/train_through_failures)
set(small --width 16 --hidden 24 --batch 8 --text ${SCRATCH}/text.txt)
list(JOIN small " " small_words)
include(${CMAKE_CURRENT_LIST_DIR}/processes/script.cmake)

macro(run)
  execute_process(COMMAND ${program} ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out
    ERROR_VARIABLE err)
endmacro()

run(--engine gloo --pipelines 1 --stages 1 --iterations 1 ${small})
if(err MATCHES "this build has no Gloo")
  message(STATUS "skipped: ${err}")
  return()
endif()

# Loses two workers, which may be an iteration ahead of others, and takes one back: losses and
# parameters of the threads, to the last bit.
set(losses --iterations 10 --kill 1:2@3,0:1@6 --join 1:2@8)
run(--engine threads ${small} ${losses})
string(REGEX MATCHALL "iteration [0-9]+ loss [0-9.]+" with_threads "${out}")
string(REGEX MATCH "hash [0-9a-f]+" hash "${out}")
run(--engine gloo ${small} ${losses})
string(REGEX MATCHALL "iteration [0-9]+ loss [0-9.]+" with_processes "${out}")
list(LENGTH with_processes count)
if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT count EQUAL 10
  OR NOT with_processes STREQUAL with_threads)
  fail("processes train otherwise than threads")
endif()
says("worker 1:2 fell silent: iteration [23] is done again" "worker 1:2 joins with a copy"
  "\n1:2 +[23] +[0-9.]+ +[0-9.]+ " "\n0:1 +[56] "
  "${hash}\nidentical: 10 losses\n$")
nothing_is_left(${place})

# The same losses where only what is missing of an iteration is done again.
run(--engine gloo ${small} ${losses} --salvage)
string(REGEX MATCHALL "iteration [0-9]+ loss [0-9.]+" salvaged "${out}")
if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT salvaged STREQUAL with_threads)
  fail("what is salvaged trains otherwise")
endif()
says("backward passes kept\n1:2 +[23] [^\n]* [0-9]+ of +72\n0:1 +[56] [^\n]* [0-9]+ of +72\n"
  "${hash}\nidentical: 10 losses\n$")
nothing_is_left(${place})

# Steps that are validated, on processes.
run(--engine gloo ${small} --pipelines 2 --stages 2 --iterations 6 --clip 2 --inject-nan 1@3 --kill
  0:0@3)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("validated steps")
endif()
says("step of iteration 3: left out, a gradient was not finite" "identical: 6 losses\n$")

# Policies that give the live workers other parts.
foreach(policy IN ITEMS "best" "oobleck" "drop" "regroup;--checkpoint-every;2" "bamboo")
  run(--engine gloo ${small} --iterations 10 --kill 1:2@3,0:1@6 --policy ${policy})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "")
    fail("${policy}: processes")
  endif()
  list(GET policy 0 name)
  set(goes_on "fell silent: training goes on with iteration")
  says("worker 1:2 ${goes_on} [23] without it\n${name}: pipelines of"
    "worker 0:1 ${goes_on} [456] without it\n${name}: pipelines of"
    "${hash}\nidentical: 10 losses\n$")
  nothing_is_left(${place})
endforeach()

# kill -9 from another shell, of whichever process. What another run of this script has written
# names processes that are not ours.
foreach(log IN ITEMS by_hand ended alone joiner vanished killed)
  file(REMOVE ${SCRATCH}/${log}.txt)
endforeach()
shell("${program} --engine gloo ${small_words} --pipelines 2 --stages 2 --iterations 300 > \
by_hand.txt & run=$!
  until grep -qs '^iteration 3 ' by_hand.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -9 $(sed -n 's/^worker 1:0 is process //p' by_hand.txt)
  wait $run; status=$?; cat by_hand.txt; exit $status")
if(NOT status EQUAL 0)
  fail("killed by hand")
endif()
says("worker 1:0 fell silent" "\n1:0 +[0-9]+ +[0-9.]+ " "identical: 300 losses\n$")
nothing_is_left(${place})

# A process that comes in a dead one's place and dies at once: nobody waits for it for a minute.
shell("${program} --engine gloo ${small_words} --iterations 60 --patience 60000 \
--kill 1:2@3 --join 1:2@30 > joiner.txt & run=$!
  until grep -qs 'from now on' joiner.txt; do kill -0 $run || exit 9; sleep 0.01; done
  kill -9 $(grep 'from now on' joiner.txt | cut -d ' ' -f 5)
  begun=$(date +%s); wait $run; status=$?; cat joiner.txt
  [ $(($(date +%s) - begun)) -lt 50 ] || exit 8; exit $status")
if(NOT status EQUAL 0)
  fail("who joins dies at once")
endif()
says("identical: 60 losses\n$")
nothing_is_left(${place})

# Somebody removes the directory where they met, long before one dies.
shell("${program} --engine gloo ${small_words} --iterations 300 --kill 0:1@250 \
> vanished.txt & run=$!
  until grep -qs '^iteration 3 ' vanished.txt; do kill -0 $run || exit 9; sleep 0.02; done
  rm -rf ${place}/shunt.*
  wait $run; status=$?; cat vanished.txt; exit $status")
if(NOT status EQUAL 0)
  fail("the directory vanishes")
endif()
says("\n0:1 +2[45][0-9] " "identical: 300 losses\n$")
nothing_is_left(${place})

# Killed itself, it leaves its directory behind. The next run removes it.
shell("${program} --engine gloo ${small_words} --iterations 100000 > killed.txt & run=$!
  until grep -qs '^iteration 1 ' killed.txt; do kill -0 $run || exit 9; sleep 0.02; done
  kill -9 $run; wait $run; [ -f ${place}/shunt.*/owner ] || exit 8
  mkdir ${place}/shunt.living ${place}/shunt.young; touch ${place}/shunt.living/owner
  flock ${place}/shunt.living/owner \
${program} --engine gloo ${small_words} --iterations 2 > next.txt
  status=$?; cat next.txt; rmdir ${place}/shunt.young && rm -r ${place}/shunt.living || exit 7
  exit $status")
if(NOT status EQUAL 0)
  fail("what a killed run leaves behind: ${status}")
endif()
nothing_is_left(${place})

# A stage without a live worker: said at once, and no run to compare with is computed, which here
# would take longer than the test.
shell("${program} --engine gloo ${small_words} --pipelines 2 --stages 2 --iterations 1000000 > \
alone.txt & run=$!
  until grep -qs '^iteration 3 ' alone.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -9 $(sed -n 's/^worker [01]:1 is process //p' alone.txt)
  wait $run; status=$?; cat alone.txt; exit $status")
if(NOT status EQUAL 1)
  fail("a stage without a live worker")
endif()
says("\nstage 1 has no live worker: training stops\n"
  "\nstopped: no plan for iteration [0-9]+ without ranks 1 3: stage 1 has no live worker\n"
  "\ndiffer: [0-9]+ of 1000000 iterations were trained\n$")
nothing_is_left(${place})

# Asked to end in the middle.
shell("${program} --engine gloo ${small_words} --iterations 100000 > ended.txt & run=$!
  until grep -qs '^iteration 1 ' ended.txt; do kill -0 $run || exit 9; sleep 0.05; done
  kill -TERM $run; wait $run")
if(NOT status EQUAL 2 OR NOT err STREQUAL "error: interrupted: all workers were ended\n")
  fail("ended in the middle")
endif()
nothing_is_left(${place})

# Killed at random moments.
run(--engine gloo ${small} --pipelines 2 --stages 2 --iterations 12 --sweep 3 --seed 5)
if(NOT status EQUAL 0)
  fail("sweep")
endif()
says("\nsweep: 3 runs of 4 workers, 3 finished, 3 identical; ")
nothing_is_left(${place})

# launched(<ranks> <argument>...): under a launcher, in ${SCRATCH}/meet. Sets `statuses`, one a rank
# of the list.
function(launched ranks)
  list(JOIN ARGN " " words)
  shell("rm -rf launched; mkdir launched; n=0; for r in ${ranks}; do n=$((n+1))
      (RANK=$r WORLD_SIZE=4 SHUNT_RENDEZVOUS=${SCRATCH}/meet SHUNT_INTERFACE=lo ${program} \
--engine gloo --pipelines 2 --stages 2 ${words} \
        > launched/out$n 2> launched/err$n; echo $? > launched/status$n) 2> /dev/null &
    done; wait; cd launched; cat out*; cat err* >&2; cat status* | tr '\\n' ' ' > status")
  file(READ ${SCRATCH}/launched/status statuses)
  foreach(variable IN ITEMS status out err statuses)
    set(${variable} "${${variable}}" PARENT_SCOPE)
  endforeach()
endfunction()

launched("0 1 2 3" ${small} --iterations 8 --kill 1:1@3)
if(NOT statuses STREQUAL "0 0 0 137 ")
  fail("under a launcher: ${statuses}")
endif()
says("worker 1:1 fell silent: iteration [23] " "\n1:1 +[23] +[0-9.]+ " "identical: 8 losses\n$")
nothing_is_left(${SCRATCH}/meet)

launched("0 1 3" ${small} --iterations 8 --patience 1500)
if(NOT statuses STREQUAL "2 2 2 " OR NOT out STREQUAL ""
  OR NOT err MATCHES "^(error: [^\n]*after 1500 ms these ranks did not come to epoch0: \
[^\n]*2\n)+$")
  fail("one never starts: ${statuses}")
endif()
nothing_is_left(${SCRATCH}/meet)

# Once and again the same rank: the second is refused and the others go on.
launched("0 1 2 3 1" ${small} --iterations 8)
if(NOT out MATCHES "identical: 8 losses\n$" OR NOT err MATCHES
  "^error: RANK: 1 is in [^\n]* already: two processes have this rank[^\n]*\n$")
  fail("one comes twice: ${statuses}")
endif()
nothing_is_left(${SCRATCH}/meet)

# Late, and still in time.
shell("rm -rf late; mkdir late; for r in 0 1 2 3; do
    (n=0; [ $r = 2 ] && until [ -d meet/shunt/epoch0.rank0 ] || [ $n = 200 ]; do sleep 0.05; \
n=$((n+1)); done
     RANK=$r WORLD_SIZE=4 SHUNT_RENDEZVOUS=meet ${program} --engine gloo --pipelines 2 --stages 2 \
${small_words} --iterations 4) &
  done; wait")
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("one starts late")
endif()
says("identical: 4 losses\n$")

# refused(<pattern> <argument>...): status 2, and one line on standard error that matches.
function(refused pattern)
  run(--engine gloo ${ARGN})
  if(NOT status EQUAL 2 OR NOT err MATCHES "^error: [^\n]+\n$" OR NOT err MATCHES "${pattern}")
    fail("${ARGN}: should be refused with ${pattern}")
  endif()
  nothing_is_left(${place})
endfunction()
refused("rendezvous: cannot create /proc/nowhere" --rendezvous /proc/nowhere)
refused("rendezvous: cannot create [^\n]*text.txt/inside: Not a directory" --rendezvous
  ${SCRATCH}/text.txt/inside)
refused("worker [0-9]:[0-9]: [^\n]*no network interface nonsense" --interface nonsense ${small})
refused("workers: is 3, 3 pipelines of 4 stages need 12" --workers 3)
refused("out: needs --engine threads" --out ${SCRATCH}/out)
refused("compare-schedules: needs --engine threads" --compare-schedules)
refused("kill-at: worker 1:2 has [0-9]+ instructions" ${small} --kill 1:2@3 --kill-at 100000)
refused("sweep: no worker can be killed" --pipelines 1 --stages 2 --sweep 1 ${small})
set(ENV{RANK} 1)
refused("WORLD_SIZE: is not set")
set(ENV{WORLD_SIZE} 11)
refused("SHUNT_RENDEZVOUS: names no directory" --pipelines 1 --stages 11)
set(ENV{SHUNT_RENDEZVOUS} ${SCRATCH}/meet)
refused("WORLD_SIZE: is 11, 3 pipelines of 4 stages need 12")
file(MAKE_DIRECTORY ${SCRATCH}/stale/shunt)
file(WRITE ${SCRATCH}/stale/shunt/report1 "")
set(ENV{WORLD_SIZE} 12)
set(ENV{SHUNT_RENDEZVOUS} ${SCRATCH}/stale)
refused("RANK: 1 is in [^\n]*stale/shunt already: two processes have this rank, or the directory \
is left over from another run" ${small})
set(ENV{SHUNT_RENDEZVOUS} /proc/nowhere)
refused("SHUNT_RENDEZVOUS: cannot meet in /proc/nowhere")
foreach(open IN ITEMS "" /shunt)
  file(REMOVE_RECURSE ${SCRATCH}/open)
  file(MAKE_DIRECTORY ${SCRATCH}/open/shunt)
  file(CHMOD ${SCRATCH}/open${open} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    WORLD_READ WORLD_WRITE WORLD_EXECUTE)
  set(ENV{SHUNT_RENDEZVOUS} ${SCRATCH}/open)
  refused("SHUNT_RENDEZVOUS: [^\n]*all users can write to it" ${small})
endforeach()
foreach(variable IN ITEMS RANK WORLD_SIZE SHUNT_RENDEZVOUS)
  unset(ENV{${variable}})
endforeach()
file(REMOVE_RECURSE ${SCRATCH}/stale ${SCRATCH}/meet ${SCRATCH}/open)

# A full directory, where this machine lets us make one: no room for the text, none for the files by
# which processes meet.
shell("unshare -rm sh -c 'mount -t tmpfs -o size=64k tmpfs ${place}' 2> /dev/null")
if(status EQUAL 0)
  foreach(inodes IN ITEMS 2 8)
    shell("unshare -rm sh -c 'mount -t tmpfs -o size=64k,nr_inodes=${inodes} tmpfs ${place} && \
      ${program} --engine gloo ${small_words} --pipelines 2 --stages 2 --patience 2000; s=$?; ls \
${place}; exit $s'")
    if(NOT status EQUAL 2 OR NOT err MATCHES "^error: [^\n]+\n$" OR out MATCHES "shunt[.]")
      fail("a full directory, ${inodes} inodes")
    endif()
  endforeach()
else()
  message(STATUS "no full directory: ${err} (no mount namespaces here)")
endif()
