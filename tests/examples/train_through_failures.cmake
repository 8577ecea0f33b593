# train_through_failures: losses with failures are the same bits as without, the files it writes,
# and one clear line with exit status 2 for bad input. cmake -D PROGRAMS=<directory> -D
# SCRATCH=<directory> -P train_through_failures.cmake
cmake_minimum_required(VERSION 3.25)
set(program train_through_failures)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

# trains(<losses> <argument>...): exit status 0, a line for every iteration, and the last line.
macro(trains losses)
  run(${ARGN})
  string(REGEX MATCHALL "(^|\n)iteration [0-9]+ loss [0-9.e+-]+ live [0-9]+ planned [0-9.]+ \
(ms|units) measured " lines "${out}")
  list(LENGTH lines count)
  if(NOT status EQUAL 0 OR NOT count EQUAL ${losses} OR NOT out MATCHES
    "\nidentical: ${losses} losses\n$" OR NOT err STREQUAL "")
    fail("${ARGN}: ${count} iterations")
  endif()
endmacro()

set(small --width 16 --hidden 24 --batch 8 --timeout 10)

trains(10 ${small} --iterations 10 --kill 1:2@3,0:1@6 --join 1:2@8 --out ${SCRATCH}/out)
foreach(pattern IN ITEMS "worker 1:2 fell silent: iteration 3 is done again"
  "\n0:1 +6 +[0-9.]+ +[0-9.]+ "
    "worker 1:2 joins" "iteration 2 loss [0-9.]+ live 12 " "iteration 7 loss [0-9.]+ live 10 "
    "iteration 9 loss [0-9.]+ live 11 ")
  if(NOT out MATCHES "${pattern}")
    fail("no ${pattern}")
  endif()
endforeach()
foreach(file IN ITEMS loss.svg losses.csv trace.json train.json train.html planned_0_0_dead.svg
  measured_0_0_dead.svg
    measured_0_0_dead_lost.svg)
  if(NOT EXISTS ${SCRATCH}/out/${file})
    fail("no file ${file}")
  endif()
endforeach()
file(READ ${SCRATCH}/out/train.json json)
string(JSON same GET "${json}" identical)
string(JSON undone GET "${json}" losses 1 workers)
if(NOT same STREQUAL ON OR NOT undone STREQUAL "0:1")
  fail("train.json: ${json}")
endif()

trains(6 ${small} --iterations 6 --pipelines 2 --stages 3 --microbatches 4 --kill 0:2@2 --kill-at 0
  --no-split --no-stagger)
trains(6 ${small} --iterations 6 --pipelines 3 --stages 2 --microbatches 5,3,1 --kill 0:1@2)
trains(6 ${small} --iterations 6 --pipelines 3 --stages 1 --kill 0:0@2,2:0@2 --memory-1f1b)
trains(4 ${small} --iterations 4 --op-ms 0.2 --kill 2:3@1)

# Only what is missing of an iteration is done again. On a crowded machine others may not have begun
# when a worker is lost; not every time.
set(kept 0)
foreach(kind IN ITEMS "" --no-split --no-stagger "--no-split;--no-stagger" "--kill-at;5")
  trains(10 ${small} --iterations 10 --kill 1:2@3,0:1@6 --join 1:2@8 --salvage ${kind})
  if(NOT out MATCHES "backward passes kept\n1:2 +[23] [^\n]* [0-9]+ of +72\n0:1 +[56] [^\n]* \
([0-9]+) of +72\n")
    fail("${kind}: nothing is said of what was kept")
  endif()
  math(EXPR kept "${kept} + ${CMAKE_MATCH_1}")
endforeach()
if(kept EQUAL 0)
  fail("no backward pass was kept")
endif()

# Policies that give the live workers other parts.
foreach(engine IN ITEMS threads inline)
  trains(8 ${small} --iterations 8 --engine ${engine} --policy oobleck --kill 1:2@3,0:1@5)
  foreach(pattern IN ITEMS "^plan for 12 of 12 workers: period"
    "\nworker 1:2 fell silent: training goes on with iteration 3 without it\noobleck: pipelines of \
3[+]4[+]4 workers take [0-9]+[+][0-9]+[+][0-9]+ micro-batches, 0 workers wait; [1-9] stages? \
[(][0-9]+ bytes[)] copied, 1 iteration done again; period [0-9]+ units\n"
    "\noobleck: pipelines of 3[+]3[+]4 workers" "iteration 7 loss [0-9.]+ live 10 "
    "\nparameters identical: all workers of 4 stages, hash [0-9a-f]+\n")
    if(NOT out MATCHES "${pattern}")
      fail("${engine}: no ${pattern}")
    endif()
  endforeach()
  trains(8 ${small} --iterations 8 --engine ${engine} --policy best --kill 1:2@3,0:1@5)
  foreach(pattern IN ITEMS
    "\nworker 1:2 fell silent: training goes on with iteration 3 without it\nbest: pipelines of "
    "\nworker 0:1 fell silent: training goes on with iteration 5 without it\nbest: pipelines of "
    "iteration 7 loss [0-9.]+ live 10 ")
    if(NOT out MATCHES "${pattern}")
      fail("${engine}: best: no ${pattern}")
    endif()
  endforeach()
  trains(6 ${small} --iterations 6 --engine ${engine} --policy drop --kill 1:2@3,0:1@5 --kill-at 9)
  if(NOT out MATCHES "\ndrop: pipelines of 4[+]4 workers take 9[+]9 micro-batches, 3 workers wait; \
0 stages [(]0 bytes[)] copied, 1 iteration done again" OR NOT out MATCHES
    "\ndrop: pipelines of 4 workers take 18 micro-batches, 6 workers wait")
    fail("${engine}: drop")
  endif()
  run(${small} --iterations 7 --engine ${engine} --policy regroup --checkpoint-every 4 --kill 1:2@6)
  string(REGEX MATCHALL "\niteration [45] loss [0-9.]+" lines "${out}") # both run twice
  list(LENGTH lines count)
  list(REMOVE_DUPLICATES lines)
  list(LENGTH lines different)
  if(NOT status EQUAL 0 OR NOT count EQUAL 4 OR NOT different EQUAL 2 OR NOT out MATCHES
    " 3 workers wait; 0 stages [(]0 bytes[)] copied, 3 iterations done again; " OR NOT out MATCHES
    "\nidentical: 7 losses\n$")
    fail("${engine}: regroup goes back")
  endif()
  trains(8 ${small} --iterations 8 --engine ${engine} --policy regroup --checkpoint-every 1 --kill
    1:2@3,0:1@5)
  if(NOT out MATCHES "\nregroup: pipelines of 4[+]4 workers take 9[+]9 micro-batches, 2 workers \
wait; [1-9] stages? ")
    fail("${engine}: regroup")
  endif()
  trains(8 ${small} --iterations 8 --engine ${engine} --policy bamboo --kill 1:2@3,0:1@5)
  if(NOT out MATCHES "\nworker 1:2 fell silent: training goes on with iteration 3 without it\n\
bamboo: pipelines of 4[+]3[+]4 workers take 6[+]6[+]6 micro-batches, 0 workers wait; 0 stages [(]0 \
bytes[)] copied, 1 iteration done again; [^\n]*\niteration 3 [^\n]*\nbamboo: pipelines of 4[+]4 \
workers take 9[+]9 micro-batches, 3 workers wait; 0 stages [(]0 bytes[)] copied, 0 iterations done \
again; " OR NOT out MATCHES "\nbamboo: pipelines of 3[+]4 workers take 9[+]9 micro-batches, 3 \
workers wait; 0 stages [(]0 bytes[)] copied, 1 iteration done again; [^\n]*\niteration 5 [^\n]*\n\
bamboo: pipelines of 4[+]4 workers take 9[+]9 micro-batches, 2 workers wait; [1-9] stages? [(]\
[0-9]+ bytes[)] copied, 0 iterations" OR NOT out MATCHES
    "\nparameters identical: all workers of 4 stages, hash [0-9a-f]+\n")
    fail("${engine}: bamboo")
  endif()
endforeach()
trains(12 ${small} --iterations 12 --policy best --op-ms 3 --slow 1:2x4@1 --kill 0:1@8)
foreach(pattern IN ITEMS "\nworker 1:2 is [0-9.]+ times as slow as planned"
  "\nbest: pipelines of " "\nworker 0:1 fell silent" "\nparameters identical: ")
  if(NOT out MATCHES "${pattern}")
    fail("best with a slow worker: no ${pattern}")
  endif()
endforeach()
# One pipeline: a loss is survived, and one of the shadow is not.
trains(6 ${small} --iterations 6 --engine inline --policy bamboo --pipelines 1 --kill 0:2@3)
run(${small} --iterations 6 --engine inline --policy bamboo --pipelines 1 --kill 0:2@2,0:1@4)
if(NOT status EQUAL 1 OR NOT out MATCHES "\nstopped: no plan for iteration 4 without ranks 1 2: \
rank 1 is lost, which has two stages; 2 live ranks don't fill a pipeline of 4\n")
  fail("bamboo: no stop after a fatal loss")
endif()
trains(8 ${small} --iterations 8 --engine inline --policy bamboo --bamboo-rules coordinator --kill
  1:2@3,0:1@5)
if(NOT out MATCHES "\nbamboo: pipelines of 3[+]3[+]4 workers")
  fail("bamboo: the coordinator's rule")
endif()
trains(5 ${small} --iterations 5 --pipelines 2 --stages 3 --microbatches 4 --policy oobleck --engine
  inline --kill 0:1@2 --out ${SCRATCH}/policy)
file(READ ${SCRATCH}/policy/train.json json)
# says(<value> <member>...): what a member of train.json is.
function(says value)
  string(JSON found GET "${json}" ${ARGN})
  if(NOT found STREQUAL value)
    fail("train.json: ${ARGN} is ${found}, not ${value}")
  endif()
endfunction()
says(oobleck policy)
says(2 changes 0 iteration)
says(1 changes 0 iterations_redone)
says(0:1 changes 0 dead 0)
says(0:0 changes 0 pipelines 0 worker_of_stage 0)
string(JSON first GET "${json}" changes 0 pipelines 0 microbatches)
string(JSON second GET "${json}" changes 0 pipelines 1 microbatches)
math(EXPR both "${first} + ${second}")
if(NOT both EQUAL 8)
  fail("train.json: ${first} and ${second} micro-batches")
endif()
foreach(key IN ITEMS stages_copied bytes_copied transition_ns)
  string(JSON found GET "${json}" changes 0 ${key})
  if(NOT found GREATER 0)
    fail("train.json: ${key} is ${found}")
  endif()
endforeach()

# Both workers of a stage at once: the state is lost.
run(${small} --iterations 6 --engine inline --policy oobleck --pipelines 2 --kill 0:2@3,1:2@3)
if(NOT status EQUAL 1 OR NOT out MATCHES "\nstopped: no plan for iteration 3 without ranks 2 6: \
no live rank has the state of stage 2\ndiffer: 3 of 6 iterations were trained\n$")
  fail("no stop where the state is lost")
endif()

refused("policy: .spam. is not slipstream, best, oobleck, drop, regroup or bamboo" --policy spam)
refused("policy: oobleck can't be together with --salvage" --policy oobleck --salvage)
refused("policy: best can't be together with --no-split: it splits backwards" --policy best
  --no-split)
refused("policy: drop can't be together with --join" --policy drop --kill 1:2@3 --join 1:2@5)
refused("policy: regroup can't be together with --clip or --inject-nan" --policy regroup --clip 1)
refused("policy: oobleck can't be together with --sweep" --policy oobleck --engine gloo --sweep 2)
refused("policy: oobleck can't be together with --engine cuda" --policy oobleck --engine cuda)
refused("policy: drop can't be together with --no-split: its pipelines run 1F1B" --policy drop
  --no-split)
refused("memory: must be none for bamboo" --policy bamboo --memory-1f1b)
refused("bamboo-rules: needs --policy bamboo" --policy drop --bamboo-rules simulator)
refused("bamboo-rules: .spam. is not simulator or coordinator" --policy bamboo --bamboo-rules spam)
refused("checkpoint-every: needs --policy regroup" --policy drop --checkpoint-every 3)
refused("checkpoint-every: must be at least 1, is 0" --policy regroup --checkpoint-every 0)
refused("kill.1.: worker 1:1 waits in iteration 5" --policy drop --kill 1:2@3,1:1@5)
refused("kill.2.: comes after the end of the run: plan: no live rank has the state of stage 2"
  --policy oobleck --pipelines 2 --kill 0:2@3,1:2@3,0:1@5)
refused("kill-at: worker 1:2 has [0-9]+ instructions" --policy oobleck --kill 1:2@3 --kill-at
  100000)

# Gradients that are not exact: near the exact run, as near as their elements let them.
foreach(gradients IN ITEMS float32 float16 bfloat16)
  run(${small} --iterations 8 --gradients ${gradients} --kill 1:2@3,0:1@6 --join 1:2@7)
  if(NOT status EQUAL 0 OR NOT out MATCHES "\nnear the exact run without failures: \
with ${gradients} gradients the last loss is [0-9.e-]+ % off, 1 % allowed\n")
    fail("${gradients}: not compared with the exact run")
  endif()
endforeach()
refused("gradients: .int32. is not int64, float32, float16 or bfloat16" --gradients int32)

# Steps that are validated: clipped, left out and rolled back, with and without a staggered step and
# losses on the way.
string(REPEAT "for (auto const r : ranks) sum += r; // and so on, 2718281828\n" 200 lines)
file(WRITE ${SCRATCH}/text.txt "${lines}")
set(unsteady --text ${SCRATCH}/text.txt --clip 2 --inject-nan 2@3:4,0@5 --kill 1:2@3,0:1@6 --join
  1:2@8)
trains(10 ${small} --iterations 10 ${unsteady})
foreach(pattern IN ITEMS "step of iteration 0: gradients clipped, their norm was 2[.][0-9]+; [1-9] \
workers had stepped and rolled back"
    "step of iteration 3: left out, a gradient was not finite; [1-9] workers had stepped and \
rolled back"
    "step of iteration 5: left out, a gradient was not finite; 0 workers"
    "\nparameters identical: all workers of 4 stages, hash [0-9a-f]+\n")
  if(NOT out MATCHES "${pattern}")
    fail("no ${pattern}")
  endif()
endforeach()
string(REGEX MATCHALL "iteration [0-9]+ loss [0-9.]+" staggered "${out}")
trains(10 ${small} --iterations 10 ${unsteady} --no-stagger)
string(REGEX MATCHALL "iteration [0-9]+ loss [0-9.]+" waiting "${out}")
if(NOT staggered STREQUAL waiting OR NOT out MATCHES "; 0 workers had stepped and rolled back")
  fail("staggered and waiting steps train differently:\n${staggered}")
endif()

refused("inject-nan.0.: stage 4 is not one of 0..3" --inject-nan 4@2)
refused("inject-nan.1.: iteration 12 is not one of 0..11" --inject-nan 3@2,3@12)
refused("inject-nan.0.: micro-batch 18 is not one of 0..17" --inject-nan 3@2:18)
refused("inject-nan.0.: .3. is not stage@iteration" --inject-nan 3)
refused("inject-nan.0. .micro-batch.: .x. is not a whole number" --inject-nan 3@2:x)
refused("clip: must be between 0 and 1e30" --clip -1)
refused("salvage: can't be together with --clip or --inject-nan" --salvage --clip 2)
refused("kill.2.*stage 2 without a live worker in iteration 5" --kill 0:2@3,1:2@4,2:2@5 --kill-at 3)
refused("kill.0.: worker 3:1 is not one of 3 pipelines" --kill 3:1@2)
refused("kill.0.: iteration 12 is not one of 0..11" --kill 1:1@12)
refused("kill.1.: worker 1:1 is already dead" --kill 1:1@2,1:1@4)
refused("join.0.: worker 1:1 is not dead" --join 1:1@4)
refused("kill.0.*is not pipeline:stage@iteration" --kill 1:2)
refused("kill-at: worker 1:2 has [0-9]+ instructions" --kill 1:2@3 --kill-at 100000)
refused("text: no file /nowhere/at/all" --text /nowhere/at/all)
file(WRITE ${SCRATCH}/empty.txt "")
refused("text: .*empty.txt is empty" --text ${SCRATCH}/empty.txt)
file(WRITE ${SCRATCH}/short.txt "abc")
refused("text: has 3 bytes, a sample needs 9" --text ${SCRATCH}/short.txt)
refused("pipelines: must be at least 1" --pipelines 0)
refused("iterations: must be between 1 and 1000000, is 0" --iterations 0)
refused("iterations: must be between 1 and 1000000, is 1000000000000000000" --iterations
  1000000000000000000)
refused("width: must be at least 1" --width -3)
refused("error: forward: must be at least 1" --forward 0)
refused("error: step: has 2 values for 4 stages" --step 1,2)
refused("op-ms: must be above 0" --compare-schedules)
refused("lr" --lr -1)
refused("engine: .spam. is not threads, inline, gloo, cuda or cuda-graphs" --engine spam)
refused("compare-schedules: needs --engine threads" --engine cuda --compare-schedules)
refused("sweep: needs --engine gloo" --engine cuda --sweep 2)
set(ENV{CUDA_VISIBLE_DEVICES} "")
refused("engine: (this build has no CUDA|there is no CUDA driver|there is no CUDA device)" --engine
  cuda-graphs)
refused("out: can't make" --iterations 1 --out ${SCRATCH}/empty.txt/inside)
