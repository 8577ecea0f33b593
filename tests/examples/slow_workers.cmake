# train_through_failures --slow: workers that become slow are found and planned around, losses keep
# their bits, and one clear line with exit status 2 for bad input; the same of plan_pipeline's costs
# and links. cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P slow_workers.cmake
cmake_minimum_required(VERSION 3.25)
set(program train_through_failures)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

set(small --width 16 --hidden 24 --batch 8 --op-ms 2)

# slow(<iterations> <pattern of the lines between> <argument>...): trains to the undisturbed bits.
macro(slow iterations pattern)
  run(${small} --iterations ${iterations} ${ARGN})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT out MATCHES
    "\nidentical: ${iterations} losses\n$" OR NOT out MATCHES "${pattern}")
    fail("${ARGN}: not as ${pattern}")
  endif()
endmacro()

# 54 ms are 27 ticks: 8 + 7 + 3 micro-batches and the step. On a crowded machine more workers may
# seem slow, so that what is planned may differ.
set(named "worker 1:2 is [0-9.]+ times as slow as planned .confidence [01][.][0-9]+, seen in [1-5] \
iterations?.: iteration ([4-9]|1[0-9]) is planned anew\n(worker[^\n]*\n)*plan for 1[12] of 12 \
workers: period")
set(well "worker 1:2 is as fast as planned again")
set(table "\nperiods, in milliseconds:\niterations +slow +live +planned +measured\n0..1 +none +12 \
+44.0 ")
slow(14 "${named} .*${well}.*${table}.*\n2..[0-9]+ +1:2x3 +12 +44.0 " --slow 1:2x3@2,1:2x1@8)
slow(12 "${named} .*fell silent.*${table}.* 1:2x3 +11 " --slow 1:2x3@2 --kill 0:1@8 --timeout 40)

# Processes, where there are any.
run(--engine gloo --pipelines 1 --stages 1 --iterations 1 ${small})
if(NOT err MATCHES "this build has no Gloo")
  slow(12 "${named} .*fell silent.*${table}" --engine gloo --slow 1:2x3@2 --kill 0:1@8)
endif()

refused("slow.0.: worker 3:0 is not one of 3 pipelines x 4 stages" ${small} --slow 3:0x2@1)
refused("slow.1.: worker 1:4 is not one of 3 pipelines x 4 stages" ${small} --slow 1:2x2@1,1:4x2@1)
refused("slow.0.: worker 1:2 must be slower by a factor of at least 1, is by 0.5" ${small} --slow
  1:2x0.5@1)
refused("slow.0.: iteration 12 is not one of 0..11" ${small} --slow 1:2x2@12)
refused("slow.0.: worker 1:2 is dead in iteration 5" ${small} --slow 1:2x2@5 --kill 1:2@4)
refused("slow.1.: worker 1:2 is named twice for iteration 5" ${small} --slow 1:2x2@5,1:2x3@5)
refused("slow.0.: .1:2x2. is not pipeline:stage x factor @ iteration" ${small} --slow 1:2x2)
refused("slow.0.: .1:2. is not pipeline:stage x factor @ iteration" ${small} --slow 1:2@5)
refused("slow.0. .factor.: .spam. is not a number" ${small} --slow 1:2xspam@5)
refused("slow.0. .iteration.: .-. is not a whole number" ${small} --slow 1:2x2@-)
refused("slow.0. .pipeline.: must be at least 0, is -1" ${small} --slow=-1:2x2@5)
refused("slow.0.: .12x2. is not|slow.0.: .12. is not pipeline:stage" ${small} --slow 12x2@5)
refused("slow: needs --op-ms above 0" --slow 1:2x2@5 --op-ms 0)
refused("slow: needs --engine threads, inline or gloo: on one GPU" ${small} --slow 1:2x2@5 --engine
  cuda)
refused("slow.0.: worker 1:2 is dead in iteration 7" ${small} --slow 1:2x2@7 --kill 1:2@4 --join
  1:2@8)
refused("slow.0. .factor.: .nan. is not a number" ${small} --slow 1:2xnan@5)
refused("slow.0. .factor.: .inf. is not a number" ${small} --slow 1:2xinf@5)
refused("slow.0. .factor.: .-2. is not a number" ${small} --slow 1:2x-2@5)
refused("slow.0. .factor.: .1e9. is not a number" ${small} --slow 1:2x1e9@5)
refused("slow.0.: worker 1:2 must be slower by a factor of at least 1, is by 0" ${small} --slow
  1:2x0@1)
refused("slow.0. .factor.: .. is not a number" ${small} --slow 1:2x@5)
refused("slow.0. .iteration.: .. is not a whole number" ${small} --slow 1:2x2@)
refused("slow.0. .iteration.: must be at least 0, is -1" ${small} --slow 1:2x2@-1)
refused("slow.0. .stage.: .. is not a whole number" ${small} --slow 1:x2@5)
refused("slow.1.: .. is not pipeline:stage x factor @ iteration" ${small} --slow 1:2x2@5,)
refused("slow.0.: iteration 12 is not one of 0..11" ${small} --slow 1:2x2@12 --out ${SCRATCH}/none)
if(EXISTS ${SCRATCH}/none)
  fail("bad input leaves files")
endif()

# Costs and links of plan_pipeline, of wrong lengths.
set(program plan_pipeline)
set(trio --pipelines 3 --stages 4 --microbatches 6)
refused("--forward: has 5 values for 4 stages and 12 workers" ${trio} --forward 1,1,1,1,1)
refused("--backward-weight: has 2 values for 4 stages and 12 workers" ${trio} --backward-weight 1,1)
refused("--step: has 24 values for 4 stages" ${trio} --step
  1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)
refused("--lengths: has 3 values for 18 micro-batches" ${trio} --lengths 1,2,3)
refused("--lengths: is empty" ${trio} --lengths "")
refused("--slow: is empty" ${trio} --slow "")
refused("--slow.1.: .. is not pipeline:stage x factor" ${trio} --slow 1:2x2,)
refused("--slow.1.: worker 1:2 is named twice" ${trio} --slow 1:2x2,1:2x3)
refused("--slow.1.: worker 3:0 is not one of 3 pipelines x 4 stages" ${trio} --slow 1:2x2,3:0x2)
set(links ${SCRATCH}/links.csv)
set(square --pipelines 1 --stages 2 --microbatches 1 --links ${links})
# unlike(<pattern> <text>): links that are refused.
macro(unlike pattern text)
  file(WRITE ${links} "${text}")
  refused("${pattern}" ${square})
endmacro()
unlike("links.csv row 1: has 3 values for 2 ranks" "0,1,1\n1,0,1\n1,1,0\n")
unlike("links.csv: has 1 rows for 2 ranks" "0,1\n")
unlike("links.csv: has 3 rows for 2 ranks" "0,1\n1,0\n0,0\n")
unlike("links.csv: has 0 rows for 2 ranks" "")
unlike("links.csv row 1, column 2: must be at least 0, is -1" "0,-1\n1,0\n")
unlike("links.csv row 2, column 1: .x. is not a whole number" "0,1\nx,0\n")
unlike("links.csv row 2, column 1: is empty" "0,1\n,0\n")
unlike("links.csv row 2, column 1: 1e400 is beyond 64 bits" "0,1\n1e400,0\n")
unlike("--links: is 4611686018427387904: the times of one iteration add up" "0,4611686018427387904\n1,0\n")
refused("--links: is empty" ${trio} --links "")
refused(": can't be " ${trio} --links ${SCRATCH})
refused("none.csv: can't be opened" ${trio} --links ${SCRATCH}/none.csv)
file(WRITE ${links} "\"0\",1\r\n1, 0\r\n")
works(${square})
