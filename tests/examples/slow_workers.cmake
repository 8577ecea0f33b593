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
set(moved "worker 1:2 is [0-9.]+ times as slow as planned .confidence [01][.][0-9]+, seen in [1-5] \
iterations?.: iteration ([4-9]|1[0-9]) is planned anew\n(worker[^\n]*\n)*best: (workers keep their \
stages|pipelines of [^\n]*); period ")
set(well "worker 1:2 is as fast as planned again")
set(table "\nperiods, in milliseconds:\niterations +slow +live +planned +measured\n0..1 +none +12 \
+44.0 ")
slow(14 "${named} .*${well}.*${table}.*\n2..[0-9]+ +1:2x3 +12 +44.0 " --slow 1:2x3@2,1:2x1@8)
slow(12 "${named} .*fell silent.*${table}.* 1:2x3 +11 " --slow 1:2x3@2 --kill 0:1@8 --timeout 40)


# Files: who was slow, when it was found, planned against measured.
set(folder ${SCRATCH}/slow)
file(REMOVE_RECURSE ${folder})
slow(10 "${named}" --slow 1:2x3@2 --out ${folder})
foreach(file IN ITEMS periods.svg planned_0_0_dead.svg measured_0_0_dead.svg planned_1_0_dead.svg)
  if(NOT EXISTS ${folder}/${file})
    fail("${file} is missing")
  endif()
endforeach()
# shows(<file> <pattern>): what a file of the folder says.
function(shows file pattern)
  file(READ ${folder}/${file} text)
  if(NOT text MATCHES "${pattern}")
    fail("${file}: not as ${pattern}")
  endif()
endfunction()
shows(periods.svg "1:2 slow, x3.*1:2 found, x[23]")
shows(planned_0_0_dead.svg "planned: all workers, not planned for 1:2x3")
shows(planned_1_0_dead.svg "planned: all workers, planned for 1:2x3")
shows(measured_0_0_dead.svg "all workers, not planned for 1:2x3")
shows(train.html "Slow workers.*times as slow as planned.*planned period, ms")
shows(losses.csv "measured_ms,slow\n0,[^\n]*,12,22,,\n1,[^\n]*,\n2,[^\n]*,12,22,[0-9.]+,1:2x3\n")
file(READ ${folder}/train.json out)
json_is("1:2" slow 0 worker)
json_is(2 slow 0 iteration)
json_is("1:2" found 0 worker)
json_is(1 periods 0 last)
json_is(44.0 periods 0 planned_ms)
string(JSON factor GET "${out}" found 0 factor)
string(JSON from GET "${out}" found 0 planned_from_iteration)
if(factor LESS 2 OR from LESS 4 OR from GREATER 9)
  fail("train.json: found ${factor} times as slow, planned for from ${from} on")
endif()

# Policies: ours finds the worker and moves layers for it, and after a loss; those that have no
# answer say so.
slow(11 "${moved}.*best: pipelines of .*${table}.* 1:2x3 +11 " --slow 1:2x3@2 --kill
  0:1@8 --timeout 40 --policy best)
foreach(policy IN ITEMS oobleck drop regroup bamboo)
  slow(4 "^${policy}: has no answer to slow workers: .*\nperiods, in milliseconds:.*\n1..3 +1:2x3 "
    --slow 1:2x3@1 --policy ${policy})
endforeach()

# 27 ticks, the bound, where all that wait take 46.
works(--width 16 --hidden 24 --batch 8 --op-ms 0.5 --slow 1:2x2@5 --compare-schedules)
if(NOT out MATCHES "\n1F1B, all wait +46 .*\nre-routed +36 .*\n. split backward +29 .*\n. \
staggered step +27 .*\nidentical: 10 losses\n")
  fail("--compare-schedules")
endif()

# Processes, where there are any.
run(--engine gloo --pipelines 1 --stages 1 --iterations 1 ${small})
if(NOT err MATCHES "this build has no Gloo")
  slow(12 "${named} .*fell silent.*${table}" --engine gloo --slow 1:2x3@2 --kill 0:1@8)
  slow(9 "${moved}.*${table}" --engine gloo --slow 1:2x3@2 --policy
    best)
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
refused("--slow.1.: .. is not pipeline:stage x factor" ${trio} --slow 1:2x2,)
refused("--slow.1.: worker 1:2 is named twice" ${trio} --slow 1:2x2,1:2x3)
refused("--slow.1.: worker 3:0 is not one of 3 pipelines x 4 stages" ${trio} --slow 1:2x2,3:0x2)
foreach(option IN ITEMS --slow --lengths --links --layers)
  execute_process(COMMAND ${PROGRAMS}/${program} ${option} "" RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err STREQUAL "error: ${option}: is empty\n")
    fail("${option} without text")
  endif()
endforeach()
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
set(huge 4611686018427387904) # 2^62
unlike("--links: is ${huge}: the times of one iteration add up" "0,${huge}\n1,0\n")
refused(": can't be " ${trio} --links ${SCRATCH})
refused("none.csv: can't be opened" ${trio} --links ${SCRATCH}/none.csv)
file(WRITE ${links} "\"0\",1\r\n1, 0\r\n")
works(${square})
