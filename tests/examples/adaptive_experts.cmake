# adaptive_experts as a user runs it: engines agree line by line, swift_moe drops far fewer tokens,
# random placements and lost ranks change no bit where nothing is dropped, files are written, bad
# input is refused.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P adaptive_experts.cmake
cmake_minimum_required(VERSION 3.25)
set(program adaptive_experts)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

# A text that no edit of this project changes.
set(text ${SCRATCH}/text)
set(words the rank keeps a slot "for one" expert and tokens travel to it every "time," because
  routing is skewed)
set(seed 1)
foreach(i RANGE 1500)
  math(EXPR seed "(${seed} * 1103515245 + 12345) % 2147483648")
  math(EXPR at "(${seed} / 65536) % 16")
  list(GET words ${at} word)
  string(APPEND written "${word} ")
endforeach()
file(WRITE ${text} "${written}")
set(sizes --text ${text} --tokens 64 --width 8 --hidden 8 --embedding 4)
set(small ${sizes} --iterations 12)

set(loss "iteration [0-9]+ loss [^\n]+")
run(${small} --engine threads --out ${SCRATCH}/out --trace ${SCRATCH}/trace.csv)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("a run on threads")
endif()
string(REGEX MATCHALL "${loss}" threads "${out}")
if(NOT out MATCHES "swift_moe drops ([0-9]+)[.0-9]* % fewer tokens than uniform"
  OR CMAKE_MATCH_1 LESS 40)
  fail("swift_moe should drop at least 40 % fewer tokens in so short a run")
endif()
if(NOT out MATCHES "formula sNG 147456, counted 147456" OR NOT out MATCHES
  "formula sNW 73728, counted 73728")
  fail("bytes should be those of the formulas: 64 slots x 2 layers x 144 parameters x 8 and 4 \
bytes")
endif()
list(LENGTH threads lines)
if(NOT lines EQUAL 24)
  fail("12 iterations of two policies, found ${lines}")
endif()

run(${small} --engine inline)
string(REGEX MATCHALL "${loss}" inline "${out}")
if(NOT status EQUAL 0 OR NOT inline STREQUAL threads)
  fail("inline and threads should print the same")
endif()
run(${small} --engine inline --collection reduce_then_gather --no-dedup --policy uniform)
string(REGEX MATCHALL "${loss}" uniform "${out}")
list(SUBLIST threads 12 12 expected)
if(NOT status EQUAL 0 OR NOT uniform STREQUAL expected)
  fail("how gradients are collected should change no loss")
endif()

# Shows: random re-placement at every step against a fixed placement, nothing dropped
run(${sizes} --iterations 10 --dropless --policy random,uniform)
if(NOT status EQUAL 0 OR NOT out MATCHES
  "identical: 10 losses and [0-9]+ parameters of random and uniform\n$")
  fail("random placements should change no bit")
endif()
run(${sizes} --iterations 3 --policy both --kill 3@1 --shards mirrored --capacity-factor 1)
if(NOT status EQUAL 0 OR NOT out MATCHES "not compared: swift_moe dropped tokens")
  fail("nothing should be claimed where tokens are dropped")
endif()

# Shows: ranks lost, one after another and two in one iteration; what one run prints is what the
# other does
set(cost "detect [0-9.]+ ms, agree [0-9.]+ ms, re-plan [0-9.]+ ms, restore [0-9.]+ ms \\([0-9]+ \
steps undone, [1-9][0-9]* bytes of optimizer state copied\\), rebuild [0-9.]+ ms, redo [0-9.]+ ms \
\\([0-9]+ instructions lost\\)")
foreach(engine IN ITEMS threads inline)
  run(${sizes} --iterations 8 --policy swift_moe --shards mirrored --kill 3@2,4@4,0@5 --engine
    ${engine})
  if(NOT status EQUAL 0 OR NOT out MATCHES
    "recovery from rank 3 in iteration 2: ${cost}\n.*recovery from rank 4 in iteration 4: \
${cost}\n.*recovery from rank 0 in iteration 5: ${cost}\n.*identical: 8 losses and [0-9]+ \
parameters of swift_moe and swift_moe without losses\n$")
    fail("mirrors should survive three ranks, one after another, on ${engine}")
  endif()
endforeach()
run(${sizes} --iterations 5 --policy swift_moe,random --shards mirrored --copies 3 --kill 7@2,8@2
  --kill-at 40)
if(NOT status EQUAL 0 OR NOT out MATCHES
  "identical: 5 losses and [0-9]+ parameters of swift_moe, random and swift_moe without losses\n$")
  fail("three copies should survive two neighbours")
endif()
# lost(<pattern> <argument>...): no iteration, but status 2 and one line that says what would be
# lost
function(lost pattern)
  run(${sizes} --iterations 6 --policy swift_moe ${ARGN})
  if(NOT status EQUAL 2 OR NOT out STREQUAL ""
    OR NOT err MATCHES "^error: --kill: loses shards in iteration 2, in each of 2 layers: no live \
rank holds the optimizer's state of ${pattern}\n$")
    fail("${ARGN}: should say that ${pattern} is lost")
  endif()
endfunction()
lost("elements 27 to 35 of experts 0 to 15 \\(dead: 3\\)" --kill 3@2)
lost("elements 27 to 35 of experts 0 to 15 \\(dead: 3, 4\\)" --kill 3@2,4@2 --shards mirrored)
run(--iterations 40 --ranks 4 --slots 2 --experts 4 --shards mirrored --policy swift_moe --kill
  1@30,2@30)
if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES
  "^error: --kill: loses shards in iteration 30, .* \\(dead: 1, 2\\)\n$")
  fail("both holders of a shard, killed in one iteration, are refused before training")
endif()
run(--iterations 4 --ranks 3 --slots 2 --experts 4 --shards mirrored --kill 0@1,1@2)
if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES
  "^error: --kill: leaves 2 slots for 4 experts in iteration 2\n$")
  fail("too few slots are refused before training")
endif()

foreach(file IN ITEMS loss.svg drops.svg experts_swift_moe_layer0.svg experts_swift_moe_layer1.svg
  experts_uniform_layer0.svg)
  file(READ ${SCRATCH}/out/${file} picture)
  if(NOT picture MATCHES "<svg.*</svg>")
    fail("${file} is no picture")
  endif()
endforeach()
file(STRINGS ${SCRATCH}/out/iterations.csv rows)
list(LENGTH rows count)
if(NOT count EQUAL 25)
  fail("iterations.csv has ${count} rows")
endif()
file(STRINGS ${SCRATCH}/trace.csv rows)
list(LENGTH rows count)
list(GET rows 0 head)
if(NOT count EQUAL 25 OR NOT head STREQUAL
  "iteration,layer,e0,e1,e2,e3,e4,e5,e6,e7,e8,e9,e10,e11,e12,e13,e14,e15")
  fail("trace.csv: ${count} rows, ${head}")
endif()

# Systems over seeds: the same table on every engine of the host, as text and as JSON.
set(systems ${sizes} --iterations 8 --seeds 2 --policy swift_moe,deepspeed,flexmoe-3)
run(${systems} --engine inline --out ${SCRATCH}/systems)
set(table "${out}")
if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT out MATCHES "seed 2 flexmoe-3: dropped "
  OR NOT out MATCHES "systems over 2 seeds \\(from 1\\), target loss [0-9.]+ "
  OR NOT out MATCHES "swift_moe has less, in %\n[^%]*than deepspeed +-?[0-9.]+ \\("
  OR NOT out MATCHES "deepspeed: with the room of slots for all sources it would drop [0-9.]+ "
  OR NOT out MATCHES "flexmoe-3: a rank receives at most [0-9]+ experts of a layer at once")
  fail("a comparison of systems")
endif()
run(${systems} --engine threads)
if(NOT status EQUAL 0 OR NOT out STREQUAL table)
  fail("threads should compare systems as one thread does")
endif()
file(READ ${SCRATCH}/systems/systems.json json)
string(JSON name GET "${json}" systems 1 system)
string(JSON reduction GET "${json}" systems 1 reductions_percent drops median)
string(JSON where GET "${json}" systems 1 optimizer)
if(NOT name STREQUAL deepspeed OR NOT reduction GREATER 0 OR NOT where STREQUAL tied)
  fail("systems.json: ${name} ${reduction} ${where}")
endif()
run(${sizes} --iterations 3 --policy uniform,deepspeed --target-loss 0.001)
if(NOT status EQUAL 0 OR NOT out MATCHES "systems over 1 seed " OR NOT out MATCHES
  "0 of 1 runs: -")
  fail("a loss that no run reaches")
endif()
run(${small} --policy deepspeed,flexmoe-2)
if(NOT status EQUAL 0 OR NOT out MATCHES "deepspeed drops [0-9.]+ % more tokens than flexmoe-2")
  fail("systems as policies")
endif()

file(WRITE ${SCRATCH}/empty "")
file(WRITE ${SCRATCH}/short "abc")
refused("--iterations.*at least 1" --iterations 0)
refused("--experts.*not a whole number" --experts many)
refused("--width.*at most 128" --width 129)
refused("4 slots for 16 experts" --ranks 1 --slots 4)
refused("--capacity-factor.*above 0" --capacity-factor 0)
refused("--capacity-factor.*not a number" --capacity-factor -1)
refused("--capacity-factor.*not a number" --capacity-factor 1.2.3)
refused("text.*no file" --text ${SCRATCH}/missing)
refused("text.*is empty" --text ${SCRATCH}/empty)
refused("text.*has 3 bytes" --text ${SCRATCH}/short)
refused("--trace.*can't be opened" ${small} --trace ${SCRATCH}/nowhere/trace.csv)
refused("--out.*can't make" ${small} --out ${text}/below)
refused("--policy.*best.*is not" --policy swift_moe,best)
refused("--policy.1. .*flexmoe-0.*at least 1, is 0" --policy swift_moe,flexmoe-0)
refused("--policy .*flexmoe-x.*not a whole number" --policy flexmoe-x)
refused("--seeds: must be at least 1, is 0" --seeds 0)
refused("--target-loss: \"inf\" is not a finite number above 0" --target-loss inf)
refused("--seeds: .*not --engine gloo" --seeds 2 --engine gloo)
refused("--seeds: .*not with --kill" --seeds 2 --shards mirrored --kill 3@5)
refused("--capacity-factor.*not a number" --capacity-factor inf)
refused("--kill.1.*at most 15" --kill 3@2,16@3)
refused("--kill.0.*rank@iteration" --kill 3)
refused("--kill.0.*at most 199" --kill 3@200)
refused("--kill.1.*rank 3 twice" --kill 3@2,3@4)
refused("copies.*at most 4" --ranks 4 --shards mirrored --copies 5)
refused("--dropless" --dropless --capacity-factor 2)
refused("--shards" --shards twice)
refused("--engine" --engine spam)
# the build that is tested knows no CUDA; tests/cuda holds what one with it says
refused("engine: this build has no CUDA" --engine cuda)
refused("engine: this build has no CUDA" --engine cuda-graphs)
refused("surplus" surplus)
