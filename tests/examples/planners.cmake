# plan_pipeline and place_experts as scripts use them: answers, keys, and one clear line with exit
# status 2 for bad input.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P planners.cmake
cmake_minimum_required(VERSION 3.25)

# run(<program> <argument>...) leaves status, out, err.
macro(run program)
  execute_process(COMMAND ${PROGRAMS}/${program} ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out
    ERROR_VARIABLE err)
endmacro()

function(fail why)
  message(SEND_ERROR "${why}\nstatus ${status}\nout: ${out}\nerr: ${err}")
endfunction()

# refused(<pattern> <program> <argument>...): status 2, nothing but one line on standard error that
# matches.
function(refused pattern program)
  run(${program} ${ARGN})
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^error: [^\n]+\n$"
    OR NOT err MATCHES "${pattern}")
    fail("${program} ${ARGN}: should be refused with ${pattern}")
  endif()
endfunction()

# json_is(<expected> <key>...): what the last answer holds there.
function(json_is expected)
  string(JSON found ERROR_VARIABLE error GET "${out}" ${ARGN})
  if(error OR NOT found STREQUAL expected)
    fail("${ARGN}: is ${found} ${error}, should be ${expected}")
  endif()
endfunction()

set(job --pipelines 3 --stages 4 --microbatches 6 --forward 1 --backward-input 1 --backward-weight 1
  --step 3)

# plans(<makespan> <period> <argument>...): an answer with all keys; -1 where a value is not looked
# at.
macro(plans makespan period)
  run(plan_pipeline ${job} ${ARGN})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "")
    fail("plan_pipeline ${ARGN}")
  endif()
  foreach(key IN ITEMS solver status makespan period lower_bound plan_us workers)
    string(JSON type ERROR_VARIABLE error TYPE "${out}" ${key})
    if(error)
      fail("plan_pipeline ${ARGN}: no ${key}")
    endif()
  endforeach()
  if(${makespan} GREATER_EQUAL 0)
    json_is(${makespan} makespan)
  endif()
  if(${period} GREATER_EQUAL 0)
    json_is(${period} period)
  endif()
endmacro()

plans(27 30 --solver one_f_one_b)
json_is(one_f_one_b solver)
json_is(1 workers 6 pipeline)
json_is(2 workers 6 stage)
json_is(2 workers 6 stash_peak)
json_is(F workers 6 ops 0 kind)
json_is(1 workers 6 ops 0 pipeline)
json_is(0 workers 6 ops 0 microbatch)
json_is(2 workers 6 ops 0 stage)
json_is(2 workers 6 ops 0 start)
json_is(3 workers 6 ops 0 end)
string(JSON workers LENGTH "${out}" workers)
string(JSON operations LENGTH "${out}" workers 6 ops)
if(NOT workers EQUAL 12 OR NOT operations EQUAL 13)
  fail("12 workers of 13 operations each, not ${workers} of ${operations}")
endif()
json_is(S workers 6 ops 12 kind)
plans(27 30 --solver gpipe)
plans(36 39 --solver slipstream --dead 1:2 --no-split --no-stagger --memory 1f1b)
plans(29 32 --solver slipstream --dead 1:2 --no-stagger)
plans(-1 30 --solver slipstream --dead 1:2)
string(JSON none LENGTH "${out}" workers 6 ops)
if(NOT none EQUAL 0)
  fail("dead workers compute nothing")
endif()
run(plan_pipeline --pipelines 2 --stages 4 --microbatches 6 --solver zb_h1 --forward 1,2,3,4 --comm
  2 --memory 1f1b)
json_is(I workers 3 ops 1 kind)
json_is(12 workers 3 ops 0 start) # 1 + 2 + 3 of the stages before, three transfers of 2
json_is(16 workers 3 ops 0 end)

# One pipeline of four stages, unit costs, no cap.
foreach(show IN ITEMS "6|0|19|--step;0" "6|0|22|--step;3" "6|21|21|--no-stagger"
  "6|21|24|--no-stagger;--step;3" "8|0|24|--step;0" "8|0|27|--step;3"
    "8|27|27|--no-stagger" "8|27|30|--no-stagger;--step;3")
  string(REGEX MATCH "^([0-9]+)\\|([0-9]+)\\|([0-9]+)\\|(.*)$" show "${show}")
  set(makespan ${CMAKE_MATCH_2})
  set(period ${CMAKE_MATCH_3})
  run(plan_pipeline --pipelines 1 --stages 4 --microbatches ${CMAKE_MATCH_1} ${CMAKE_MATCH_4})
  json_is(${period} period)
  json_is(${period} lower_bound)
  json_is(optimal status)
  if(makespan)
    json_is(${makespan} makespan)
  endif()
endforeach()

# Every solver by its name, the layout as it needs it; six stages of each chunk would not divide,
# eight stages do.
foreach(solver IN ITEMS gpipe one_f_one_b zb_h1 zb_h2 zero_bubble interleaved_one_f_one_b
  interleaved_zero_bubble looped_bfs dual_pipe_v zb_v v_half v_min
    hanayo slipstream)
  run(plan_pipeline --stages 8 --microbatches 8 --solver ${solver} --format text)
  if(NOT status EQUAL 0 OR NOT out MATCHES "^${solver}: 1 pipelines x 8 stages x 8 micro-batches")
    fail("--solver ${solver}")
  endif()
endforeach()
foreach(solver IN ITEMS dual_pipe chimera)
  run(plan_pipeline --pipelines 2 --stages 4 --solver ${solver} --format text)
  if(NOT status EQUAL 0 OR NOT out MATCHES "rank 0: 0:0, 1:3 |")
    fail("--solver ${solver}")
  endif()
  refused("--layout: is bidirectional and needs an even number of pipelines, has 1" plan_pipeline
    --solver ${solver})
endforeach()
run(plan_pipeline --solver branch_and_bound --stages 2 --microbatches 3 --memory 2)
json_is(optimal status)
run(plan_pipeline --solver zb_v --stages 8 --memory 8 --stash 2 --stash-input 1)
json_is(8 workers 0 stash_peak)
run(plan_pipeline --solver v_min --stages 8)
json_is(7 workers 0 stages 1)
json_is(4 workers 0 stash_peak)
run(plan_pipeline --solver v_min --stages 8 --stash 3)
json_is(12 workers 0 stash_peak)
run(plan_pipeline --solver hanayo --stages 8 --format text)
if(NOT out MATCHES "rank 0: stages 0, 7 \\|F0[^\n]*F0b" OR NOT out MATCHES
  "F0b is in the second chunk")
  fail("chunks have letters")
endif()
run(plan_pipeline --solver dual_pipe_v --stages 8 --overlap-gain 1 --format text)
if(NOT out MATCHES "F[0-9]b\\+B[0-9]")
  fail("overlapped pairs are shown")
endif()
run(plan_pipeline --solver gpipe --comm 1 --comm-between 4 --ranks-per-node 2)
json_is(7 workers 2 ops 0 start) # a forward, a link within the node, a forward, one between nodes
run(plan_pipeline --memory 1,2,3,4)
json_is(1 workers 0 stash_peak)

# Bamboo: redundant forwards, what a shadow does after a loss, and losses that are fatal.
set(bamboo --pipelines 1 --stages 4 --microbatches 12 --solver bamboo)
run(plan_pipeline ${bamboo})
json_is(55 makespan)
json_is(45 bamboo makespan_without)
json_is("" bamboo takeover)
json_is(R workers 0 ops 4 kind)
json_is(1 workers 0 ops 4 stage)
json_is(4 workers 0 ops 4 start)
json_is(B workers 0 ops 5 kind)
string(JSON last LENGTH "${out}" workers 3 ops)
if(NOT last EQUAL 25)
  fail("the last stage has no redundant forwards")
endif()
run(plan_pipeline ${bamboo} --dead 0:3)
json_is(78 makespan)
json_is(45 bamboo makespan_without)
json_is(2 bamboo takeover shadow stage)
json_is(3 workers 2 stages 1)
run(plan_pipeline --stages 3 --microbatches 3 --solver bamboo --dead 0:1 --failed-at 8)
json_is(R bamboo takeover reused 1 kind)
json_is(B bamboo takeover resumed 0 kind)
json_is(1 bamboo takeover resumed 0 stage)
json_is(2 bamboo takeover survivors 1)
run(plan_pipeline --stages 3 --microbatches 3 --solver bamboo --format text)
if(NOT out MATCHES "makespan 16 \\(1F1B 15\\)" OR NOT out MATCHES
  "0:0 +\\|F0-F1-F2-R0-[.]+B0")
  fail("redundant forwards as text")
endif()
run(plan_pipeline --stages 3 --microbatches 3 --solver bamboo --dead 0:1 --failed-at 4 --format
  text)
if(NOT out MATCHES "worker 0:1 is lost in lockstep 4; 0:0 ends the iteration with \
F0@1 F1@1 B0@1 F2@0 B0@0 F2@1 B1@1 B1@0 B2@1 B2@0 S@0 S@1, has made 0")
  fail("a takeover as text")
endif()
run(plan_pipeline ${bamboo} --dead 0:1,0:2 --format text)
if(NOT status EQUAL 1 OR NOT out STREQUAL "" OR NOT err STREQUAL
  "infeasible: worker 0:2 is lost, and so is its shadow 0:1: fatal, all pipelines must be formed \
anew\n")
  fail("a fatal loss")
endif()
refused("--failed-at: is for bamboo with --dead" plan_pipeline --failed-at 3)
refused("--failed-at: must be from 0 to 30, is 31" plan_pipeline ${bamboo} --dead 0:1 --failed-at
  31)
refused("--memory: must be none for shadow_failover" plan_pipeline ${bamboo} --dead 0:1 --memory 4)
refused("--layout: is looped" plan_pipeline ${bamboo} --layout looped)
refused("--csv-out: has no place for redundant forwards" plan_pipeline ${bamboo} --csv-out
  ${SCRATCH}/no.csv)

# What systems run after the loss of a worker: the same batch, and who goes on as what.
foreach(case IN ITEMS "slipstream;30;12;0;0;3" "oobleck;36;11;0;2;3" "drop;39;8;3;0;2"
  "regroup;39;8;3;0;2")
  list(GET case 0 policy)
  list(GET case 1 period)
  plans(-1 ${period} --policy ${policy} --dead 1:2)
  json_is(${policy} policy)
  set(wanted ${case})
  list(SUBLIST wanted 2 3 wanted)
  set(found)
  foreach(key IN ITEMS members waiting copies)
    string(JSON length LENGTH "${out}" ${key})
    list(APPEND found ${length})
  endforeach()
  string(JSON workers LENGTH "${out}" workers)
  list(GET case 2 members)
  if(NOT found STREQUAL wanted OR NOT workers EQUAL members)
    fail("--policy ${policy}: ${found}, ${workers} workers, should be ${wanted}")
  endif()
  set(forwards 0)
  math(EXPR workers "${workers} - 1")
  foreach(w RANGE ${workers})
    string(JSON ops GET "${out}" workers ${w} ops)
    string(REGEX MATCHALL "\"F\"" ops "${ops}")
    list(LENGTH ops ops)
    math(EXPR forwards "${forwards} + ${ops}")
  endforeach()
  if(NOT forwards EQUAL 72) # 18 micro-batches, 4 stages
    fail("--policy ${policy}: ${forwards} forwards")
  endif()
endforeach()
run(plan_pipeline ${job} --policy oobleck --dead 1:2)
json_is(one_f_one_b solver)
run(plan_pipeline ${job} --policy oobleck --dead 1:2 --solver zero_bubble)
json_is(zero_bubble solver)
json_is(oobleck policy)
run(plan_pipeline ${job} --policy drop --dead 1:2 --format text)
if(NOT out MATCHES "^drop, one_f_one_b: 2 pipelines x 4 stages x 9,9 micro-batches, 1 dead, \
makespan 36, period 39 " OR NOT out MATCHES "\nranks of the start: 0 1 2 3 8 9 10 11; wait: 4 5 7; \
copied: nothing\n")
  fail("--policy drop as text")
endif()
plans(27 30 --policy oobleck) # nobody is lost
string(JSON members LENGTH "${out}" members)
if(NOT members EQUAL 12)
  fail("${members} go on")
endif()
run(plan_pipeline ${bamboo} --dead 0:3)
string(REGEX REPLACE "\"plan_us\": [0-9.e+-]+," "" by_solver "${out}")
run(plan_pipeline --pipelines 1 --stages 4 --microbatches 12 --policy bamboo --dead 0:3)
json_is(bamboo policy)
json_is(2 members 2)
string(REGEX REPLACE "\"plan_us\": [0-9.e+-]+," "" out "${out}")
string(JSON out REMOVE "${out}" policy)
string(JSON out REMOVE "${out}" members)
string(JSON out REMOVE "${out}" waiting)
string(JSON out REMOVE "${out}" copies)
string(JSON equal EQUAL "${out}" "${by_solver}")
if(NOT equal)
  fail("--policy bamboo is --solver bamboo")
endif()
foreach(case IN ITEMS "drop|0:0,1:0,2:3|every pipeline has lost a rank"
  "oobleck|0:0,1:0,2:0|no live rank has stage 0"
    "regroup|0:0,0:1,0:2,1:0,1:1,1:2,2:1,2:2,2:3|3 live ranks don't fill a pipeline of 4")
  string(REGEX MATCH "^(.*)[|](.*)[|](.*)$" case "${case}")
  run(plan_pipeline ${job} --policy ${CMAKE_MATCH_1} --dead ${CMAKE_MATCH_2})
  if(NOT status EQUAL 1 OR NOT err STREQUAL "infeasible: ${CMAKE_MATCH_3}\n")
    fail("--policy ${CMAKE_MATCH_1} --dead ${CMAKE_MATCH_2}")
  endif()
  json_is(${CMAKE_MATCH_1} policy)
endforeach()
refused("--solver: gpipe can't be together with --policy slipstream" plan_pipeline --policy
  slipstream --solver gpipe)
refused("--solver: bamboo can't be together with --policy drop" plan_pipeline --policy drop --solver
  bamboo)
refused("--policy" plan_pipeline --policy varuna)

# CSV for torch.distributed.pipelining: both forms written, read back, and the same plan.
foreach(solver IN ITEMS one_f_one_b dual_pipe_v hanayo zb_v slipstream)
  set(csv --solver ${solver} --stages 8 --no-stagger)
  run(plan_pipeline ${csv} --csv-out ${SCRATCH}/only.csv --csv-comms ${SCRATCH}/comms.csv)
  string(JSON planned GET "${out}" workers)
  run(plan_pipeline --csv-in ${SCRATCH}/comms.csv --csv-comms ${SCRATCH}/older.csv --torch 2.14)
  file(STRINGS ${SCRATCH}/comms.csv waits REGEX "WAIT_SEND_F0.*REDUCE_GRAD,[0-9]WAIT_REDUCE_GRAD")
  file(STRINGS ${SCRATCH}/older.csv older REGEX "WAIT")
  if(NOT waits OR older)
    fail("${solver}: waits are in comms.csv and not in older.csv")
  endif()
  foreach(form IN ITEMS only comms older)
    run(plan_pipeline --csv-in ${SCRATCH}/${form}.csv --csv-out ${SCRATCH}/again.csv)
    string(JSON read ERROR_VARIABLE error GET "${out}" workers)
    file(READ ${SCRATCH}/only.csv written)
    file(READ ${SCRATCH}/again.csv again)
    if(NOT status EQUAL 0 OR NOT read STREQUAL planned OR NOT written STREQUAL again)
      fail("${solver}: ${form}.csv reads back as another plan")
    endif()
  endforeach()
  json_is(csv solver)
endforeach()
refused("--torch: is the release that --csv-comms is for" plan_pipeline --torch 2.14)
refused("--torch: 2.13 not in" plan_pipeline --torch 2.13 --csv-comms ${SCRATCH}/no.csv)
refused("dead: rank 2 of pipeline 0 is dead" plan_pipeline --pipelines 2 --dead 0:2 --csv-out
  ${SCRATCH}/no.csv)
refused("--csv-out: ${SCRATCH}/no/such.csv can't be opened" plan_pipeline --csv-out
  ${SCRATCH}/no/such.csv)
# What was there before stays where a plan is none for a CSV, or the content can't be written whole.
file(REMOVE_RECURSE ${SCRATCH}/kept)
file(MAKE_DIRECTORY ${SCRATCH}/kept)
file(WRITE ${SCRATCH}/kept/plan.csv "kept")
function(kept_alone)
  file(READ ${SCRATCH}/kept/plan.csv kept)
  file(GLOB beside ${SCRATCH}/kept/*)
  if(NOT kept STREQUAL "kept" OR NOT beside STREQUAL "${SCRATCH}/kept/plan.csv")
    fail("${SCRATCH}/kept/plan.csv: ${kept}, beside it ${beside}")
  endif()
endfunction()
refused("--csv-out: plan: rank 1 computes for pipeline 1" plan_pipeline --pipelines 2 --dead 1:1
  --csv-out ${SCRATCH}/kept/plan.csv)
kept_alone()
refused("--csv-comms: [^ ]*/no/such.csv can't be opened" plan_pipeline --csv-out
  ${SCRATCH}/kept/plan.csv --csv-comms ${SCRATCH}/no/such.csv)
kept_alone()
execute_process(COMMAND sh -c "trap '' XFSZ; ulimit -f 0
    exec \"$0\" --microbatches 400 --csv-out \"$1\" >/dev/null"
    ${PROGRAMS}/plan_pipeline ${SCRATCH}/kept/plan.csv RESULT_VARIABLE status ERROR_VARIABLE err)
if(NOT status EQUAL 2 OR NOT err MATCHES "^error: --csv-out: [^\n]* can't be written: [^\n]*\n$")
  fail("a file that can't be written whole")
endif()
kept_alone()
run(plan_pipeline --solver gpipe --stages 2 --microbatches 1 --csv-out /dev/stdout --format text)
if(NOT status EQUAL 0 OR NOT out MATCHES "0F0,0B0\n1F0,1B0\n")
  fail("--csv-out /dev/stdout")
endif()
refused("excludes" plan_pipeline --csv-in ${SCRATCH}/only.csv --stages 8)
refused("can't be opened" plan_pipeline --csv-in ${SCRATCH}/no-such.csv)
foreach(bad IN ITEMS "0F0,0B0garbage\n@row 1, column 2: \"0B0garbage\" has more after its \
micro-batch" "0F0,0B\n@row 1, column 2: \"0B\" names no micro-batch"
    "0F0,0X0\n@row 1, column 2: \"0X0\" is no action"
    "0F0,0F2,0B0,0B2\n@row 1: has no forward of micro-batch 1 at stage 0"
    "0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n@is no plan: cycle: .* it needs the backward of \
micro-batch 0:0 at stage 1, which stands behind the forward of micro-batch 0:1 at stage 1 of \
worker 0:1, which needs the forward of micro-batch 0:1 at stage 0, which stands behind the \
backward of micro-batch 0:0 at stage 0"
    "0B0,0F0\n@is no plan: before_its_input" "0F0,0F0,0B0\n@is no plan: repeated"
    "0F0,0SEND_F0,0B0\n1F0,1B0\n@row 2, column 1: \"1F0\" never gets its input")
  string(REGEX MATCH "^(.*)@(.*)$" bad "${bad}")
  set(pattern "${CMAKE_MATCH_2}")
  file(WRITE ${SCRATCH}/bad.csv "${CMAKE_MATCH_1}")
  refused("bad.csv.*${pattern}" plan_pipeline --csv-in ${SCRATCH}/bad.csv)
endforeach()
refused("--chunks: is 2 under --layout v, not 3" plan_pipeline --layout v --chunks 3 --solver zb_v)
refused("--layout: spiral" plan_pipeline --layout spiral)
refused("--layout: 9 stages don't divide into 2 chunks a rank" plan_pipeline --stages 9 --solver
  looped_bfs)
refused("--memory: has 3 limits for 4 ranks" plan_pipeline --memory 1,2,3)
refused("--stash-input: gives back 3 of 2" plan_pipeline --stash 2 --stash-input 3)
refused("--stash: must be at least 1, is 0" plan_pipeline --stash 0)
refused("--comm-between: differs from --comm, which needs --ranks-per-node" plan_pipeline
  --comm 1 --comm-between 2)
refused("--overlap-gain: must be at least 0, is -1" plan_pipeline --overlap-gain -1)

# Without a plan: status 1, the reason in the answer and on standard error; a picture of it is not
# to be had.
run(plan_pipeline ${job} --dead 1:2 --solver slipstream --no-reroute)
json_is(infeasible status)
string(JSON reason GET "${out}" reason)
if(NOT status EQUAL 1 OR NOT reason MATCHES "1:2" OR NOT err MATCHES
  "^infeasible: [^\n]*1:2[^\n]*\n$")
  fail("--no-reroute is infeasible, naming the dead worker")
endif()
run(plan_pipeline --stages 2 --dead 0:1)
json_is(infeasible status)
if(NOT err MATCHES "stage 1")
  fail("a stage without a live worker is named")
endif()
run(plan_pipeline --stages 2 --dead 0:1 --format svg)
if(NOT status EQUAL 1 OR NOT out STREQUAL "")
  fail("no picture without a plan")
endif()

foreach(format IN ITEMS "svg|^<svg .*</svg>\n$" "trace|^{\"displayTimeUnit\".*}\n$" "text|F1:0")
  string(REGEX MATCH "^([a-z]+)\\|(.*)$" format "${format}")
  set(pattern "${CMAKE_MATCH_2}")
  run(plan_pipeline ${job} --dead 1:2 --format ${CMAKE_MATCH_1})
  if(NOT status EQUAL 0 OR NOT out MATCHES "${pattern}")
    fail("--format ${format}")
  endif()
endforeach()
run(plan_pipeline ${job} --dead 1:2 --format trace)
string(JSON events LENGTH "${out}" traceEvents)
if(NOT events GREATER 100)
  fail("${events} events in the trace")
endif()

refused("--pipelines: must be at least 1, is 0" plan_pipeline --pipelines 0)
refused("--stages: must be at least 1, is -4" plan_pipeline --stages -4)
refused("--microbatches: \"six\"" plan_pipeline --microbatches six)
refused("--microbatches: .* at most" plan_pipeline --pipelines 100000 --stages 100 --microbatches
  100000)
refused("--microbatches\\[1\\]: must be at least 1, is 0" plan_pipeline --pipelines 3
  --microbatches 6,0,4)
refused("--microbatches: has 2 values for 3 pipelines" plan_pipeline --pipelines 3 --microbatches
  6,4)
refused("--microbatches: .* at most" plan_pipeline --pipelines 2 --microbatches
  2147483647,2147483647)
refused("--forward: must be at least 1, is 0" plan_pipeline --forward 0)
refused("--backward-input\\[2\\]: must be at least 1, is 0" plan_pipeline --backward-input
  1,1,0,1)
refused("--backward-weight: must be at least 0, is -1" plan_pipeline --backward-weight -1)
refused("--step: has 3 values for 4 stages" plan_pipeline --step 1,2,3)
refused("--step: .* beyond 62 bits" plan_pipeline --step 4611686018427387904)
refused("--step: .* 99999999999999999999" plan_pipeline --step 99999999999999999999)
refused("--forward\\[1\\]: \"\"" plan_pipeline --forward 1,,1,1)
refused("--comm: must be at least 0, is -1" plan_pipeline --comm -1)
refused("--dead\\[0\\]: worker 5:0" plan_pipeline --dead 5:0)
refused("--dead\\[1\\]: worker 0:0 is named twice" plan_pipeline --dead 0:0,0:0)
refused("--dead\\[1\\]: \"x\" is not pipeline:stage" plan_pipeline --dead 0:0,x)
refused("--memory: \"all\"" plan_pipeline --memory all)
refused("--memory: must be at least 1, is 0" plan_pipeline --memory 0)
refused("--solver: magic" plan_pipeline --solver magic)
refused("--format: pdf" plan_pipeline --format pdf)
refused("--frobnicate: is no option here; --help lists all" plan_pipeline --frobnicate)
refused("--microbatch: is no option here, did you mean --microbatches\\?" plan_pipeline
  --microbatch 3)
refused("--pipeline: is no option here, did you mean --pipelines\\?" plan_pipeline --pipeline=2)
refused("--transfer: is no option here; --help" plan_pipeline --transfer 3)
refused("--rank: is no option here, did you mean --ranks\\?" place_experts --rank 2 --slots 4)

# Pipelines with numbers of micro-batches of their own, and cuts of their own: the first four layers
# on two ranks, then on four.
run(plan_pipeline --pipelines 3 --microbatches 6,6,4 --solver one_f_one_b --format text)
if(NOT out MATCHES "3 pipelines x 4 stages x 6,6,4 micro-batches, 0 dead, makespan 27")
  fail("--microbatches 6,6,4")
endif()
run(plan_pipeline --pipelines 2 --microbatches 3,6 --layout 0,0,1,1,2,3,4,5 --solver one_f_one_b
  --memory 1f1b)
json_is(27 makespan)
json_is(4 workers 0 stash_peak)
json_is(1 workers 0 stages 1)
run(plan_pipeline --pipelines 3 --microbatches 6,6,4 --layout stage-major --dead 1:2)
json_is(optimal status)
json_is(1 workers 1 pipeline)
json_is(0 workers 1 stage)
refused("--layout: has 3 seats for 1 pipelines x 4 stages" plan_pipeline --layout 0,1,2)
refused("--layout\\[1\\]: \"\" is not a whole number" plan_pipeline --layout 0,,1,2)

# Bytes: two micro-batches of 3 GB under 8 GiB.
run(plan_pipeline --stash 3000000000 --memory 8G --solver zero_bubble)
json_is(6000000000 workers 0 stash_peak)
run(plan_pipeline --stash 2G --stash-input 512M --memory 4G,8G,8G,1T --solver zero_bubble)
json_is(4294967296 workers 0 stash_peak)
refused("--memory: \"8X\" is none of none, 1f1b, a number such as 4, 512M or 8G" plan_pipeline
  --memory 8X)
refused("--memory: \"8GG\" is not a whole number, with K, M, G or T" plan_pipeline --memory 8GG)
refused("--memory: must be at least 1, is 0G" plan_pipeline --memory 0G)
refused("--memory: must be below 2.63, is 9999999999T" plan_pipeline --memory 9999999999T)
refused("--stash: is [0-9]*: the stashes of one iteration add up beyond 61 bits" plan_pipeline
  --stash 1000000T)

# place_experts
function(loads text)
  file(WRITE ${SCRATCH}/loads.csv "${text}")
endfunction()
macro(places solver slots ranks total replicas)
  run(place_experts --loads ${SCRATCH}/loads.csv --ranks ${ranks} --slots ${total} --solver
    ${solver})
  string(JSON found_slots ERROR_VARIABLE error GET "${out}" layers 0 slots)
  string(JSON found_replicas ERROR_VARIABLE error GET "${out}" layers 0 replicas)
  string(REGEX REPLACE "[] \n[]" "" found_slots "${found_slots}")
  string(REGEX REPLACE "[] \n[]" "" found_replicas "${found_replicas}")
  if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT found_slots STREQUAL "${slots}"
    OR NOT found_replicas STREQUAL "${replicas}")
    fail("place_experts: slots ${found_slots}, replicas ${found_replicas}")
  endif()
  foreach(key IN ITEMS solver mean_max_over_mean solve_us_per_layer)
    string(JSON type ERROR_VARIABLE error TYPE "${out}" ${key})
    if(error)
      fail("place_experts: no ${key}")
    endif()
  endforeach()
endmacro()

loads("100,100,100,100\n")
places(swift_moe 0,0,1,1,2,2,3,3 4 8 2,2,2,2)
json_is(1.0 mean_max_over_mean)
places(uniform 0,1,2,3,0,1,2,3 4 8 2,2,2,2)
loads("700,200,60,40\n")
places(swift_moe 0,0,0,0,0,1,2,3 4 8 5,1,1,1)
loads("1000,0,0,0\n")
places(swift_moe 0,0,0,0,0,1,2,3 4 8 5,1,1,1)
loads("10,5,3,2,1,1\r\n0,0,0,0,0,0")
places(swift_moe 0,1,2,3,4,5 3 6 1,1,1,1,1,1)
places(uniform 0,1,2,3,4,5,0 3 7 2,1,1,1,1,1)
json_is(3 slots_per_rank 0)
json_is(2 slots_per_rank 2)

run(place_experts --loads ${SCRATCH}/loads.csv --ranks 3 --slots 5)
json_is(infeasible status)
if(NOT status EQUAL 1 OR NOT err MATCHES "5 slots for 6 experts")
  fail("fewer slots than experts is infeasible, with both numbers")
endif()
run(place_experts --loads ${SCRATCH}/loads.csv --ranks 3 --slots 6 --format text)
if(NOT status EQUAL 0 OR NOT out MATCHES
  "layer 0, largest over mean [0-9.]+: 0 1 \\| 2 3 \\| 4 5\n")
  fail("--format text")
endif()

set(usual --ranks 4 --slots 8)
foreach(bad IN ITEMS "|: is empty" "1,2\n3\n|row 2: has 1 values" "1,x\n|row 1, column 2: \"x\""
  "1,-2\n|row 1, column 2: .* is -2"
    "1,\n|row 1, column 2: is empty" "1,2\n\n3,4\n|row 2: is empty"
    "99999999999999999999\n|row 1, column 1: .* 64 bits"
    "9000000000000000000,1\n|loads\\[0\\]: .* 62 bits" "0,0\n0,0\n|no tokens at all")
  string(REGEX MATCH "^([^|]*)\\|(.*)$" bad "${bad}")
  set(pattern "${CMAKE_MATCH_2}")
  loads("${CMAKE_MATCH_1}")
  refused("${pattern}" place_experts --loads ${SCRATCH}/loads.csv ${usual})
endforeach()
loads("1,2\n")
refused("no-such.csv: can't be opened" place_experts --loads ${SCRATCH}/no-such.csv ${usual})
refused("can't be read" place_experts --loads ${SCRATCH} ${usual})
refused("--ranks: must be at least 1, is 0" place_experts --loads ${SCRATCH}/loads.csv --ranks 0
  --slots 8)
refused("--slots: must be at least 1, is -8" place_experts --loads ${SCRATCH}/loads.csv --ranks 4
  --slots -8)
refused("--slots" place_experts --loads ${SCRATCH}/loads.csv --ranks 4 --slots 4294967296)
refused("--solver: magic" place_experts --loads ${SCRATCH}/loads.csv ${usual} --solver magic)
refused("--loads is required" place_experts ${usual})

foreach(program IN ITEMS plan_pipeline place_experts)
  run(${program} --help)
  if(NOT status EQUAL 0 OR NOT out MATCHES "Example: ${program}")
    fail("${program} --help")
  endif()
endforeach()
