# place_experts beyond planners.cmake: every solver by name, nodes and groups, previous placements,
# EPLB's arrays, and replays of a series.
# cmake -D PROGRAMS=<directory> -D DATA=<tests/data> -D SCRATCH=<directory> -P place_experts.cmake
cmake_minimum_required(VERSION 3.25)

# run(<argument>...) leaves status, out, err.
macro(run)
  execute_process(COMMAND ${PROGRAMS}/place_experts ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE
    out ERROR_VARIABLE err)
endmacro()

function(fail why)
  message(SEND_ERROR "${why}\nstatus ${status}\nout: ${out}\nerr: ${err}")
endfunction()

# works(<argument>...): status 0 and nothing on standard error.
macro(works)
  run(${ARGN})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "")
    fail("place_experts ${ARGN}")
  endif()
endmacro()

# refused(<pattern> <argument>...): status 2, nothing but one line on standard error that matches.
function(refused pattern)
  run(${ARGN})
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^error: [^\n]+\n$"
    OR NOT err MATCHES "${pattern}")
    fail("place_experts ${ARGN}: should be refused with ${pattern}")
  endif()
endfunction()

# json_is(<expected> <key>...): what the last answer holds there; blanks of lists don't matter.
function(json_is expected)
  string(JSON found ERROR_VARIABLE error GET "${out}" ${ARGN})
  string(REGEX REPLACE "[ \n]" "" found "${found}")
  if(error OR NOT found STREQUAL expected)
    fail("${ARGN}: is ${found} ${error}, should be ${expected}")
  endif()
endfunction()

# Every solver, on two layers.
set(loads ${SCRATCH}/loads.csv)
file(WRITE ${loads} "70,20,6,4\n10,10,10,10\n")
set(usual --loads ${loads} --ranks 4 --slots 8)
foreach(solver IN ITEMS swift_moe uniform eplb balanced spilled_groups incremental lazarus flexmoe
  shadow exact_placement)
  works(${usual} --solver ${solver})
  json_is(${solver} solver)
  string(JSON slots LENGTH "${out}" layers 1 slots)
  if(NOT slots EQUAL 8)
    fail("${solver} fills ${slots} slots of 8")
  endif()
  string(JSON bound GET "${out}" layers 0 lower_bound)
  string(JSON reached GET "${out}" layers 0 max_over_mean)
  if(reached LESS bound)
    fail("${solver} is below the bound")
  endif()
endforeach()
works(${usual} --solver lazarus --floor 1)
json_is("[5,1,1,1]" layers 0 replicas)
works(${usual} --solver lazarus)
json_is("[2,2,2,2]" layers 0 replicas)

# Groups stay on a node: experts 0 and 1 on one, 2 and 3 on the other.
works(${usual} --nodes 2 --groups 2 --solver eplb)
string(JSON slots GET "${out}" layers 0 slots)
string(REGEX REPLACE "[] \n[]" "" slots "${slots}")
if(NOT slots MATCHES "^[01],[01],[01],[01],[23],[23],[23],[23]$"
  AND NOT slots MATCHES "^[23],[23],[23],[23],[01],[01],[01],[01]$")
  fail("groups: ${slots}")
endif()


# A replica or two of a hot group may leave its node.
foreach(spill IN ITEMS 0 1 2)
  works(${usual} --nodes 2 --groups 2 --solver spilled_groups --spill ${spill})
  string(JSON spilled GET "${out}" layers 0 spilled)
  string(JSON balance_${spill} GET "${out}" layers 0 max_over_mean)
  if(NOT spilled LESS_EQUAL spill)
    fail("--spill ${spill}: ${spilled}")
  endif()
endforeach()
if(NOT balance_1 LESS balance_0 OR NOT balance_2 LESS_EQUAL balance_1)
  fail("--spill: ${balance_0} ${balance_1} ${balance_2}")
endif()

# Tokens by rank: two layers on four ranks, each rank's tokens for one expert. Every expert goes
# where its tokens are.
file(WRITE ${SCRATCH}/sources.csv
  "0,0,0,9\n0,0,9,0\n0,9,0,0\n9,0,0,0\n5,0,0,0\n0,5,0,0\n0,0,5,0\n0,0,0,5\n")
set(by_rank --sources ${SCRATCH}/sources.csv --ranks 4 --slots 4)
works(${by_rank} --solver uniform)
json_is("[0,1,2,3]" layers 0 slots)
json_is(0 layers 0 local_tokens)
json_is(20 layers 1 local_tokens)
works(${by_rank} --solver uniform --near-sources)
json_is("[3,2,1,0]" layers 0 slots)
json_is(36 layers 0 local_tokens)
json_is(20 layers 1 local_tokens)
works(${by_rank} --solver uniform --near-sources --format text)
if(NOT out MATCHES "layer 0, largest over mean 1, 36 tokens local: 3 . 2 . 1 . 0\n")
  fail("--sources as text")
endif()
refused("sources.csv row 8: ends within a layer of 3 ranks" --sources ${SCRATCH}/sources.csv --ranks
  3 --slots 4)
refused("--near-sources: needs --sources" ${usual} --near-sources)
refused("--keep-ranks: needs --previous" ${usual} --keep-ranks)
refused("excludes" ${usual} --sources ${SCRATCH}/sources.csv)
refused("excludes" ${by_rank} --near-sources --keep-ranks)

# The rows of the same placement, dealt to other ranks: matched again, nothing moves.
works(${usual} --solver eplb --format csv)
string(REPLACE "\n" ";" rows "${out}")
set(turned)
foreach(row IN LISTS rows)
  string(REGEX REPLACE "^([0-9],[0-9]),(.*)$" "\\2,\\1\n" row "${row}")
  string(APPEND turned "${row}")
endforeach()
file(WRITE ${SCRATCH}/turned.csv "${turned}")
works(${usual} --solver eplb --previous ${SCRATCH}/turned.csv)
string(JSON moved GET "${out}" layers 0 moved)
if(NOT moved GREATER 0)
  fail("rows turned around move")
endif()
works(${usual} --solver eplb --previous ${SCRATCH}/turned.csv --keep-ranks)
json_is(0 layers 0 moved)
json_is(0 layers 1 moved)

# Slots that all layers share: the skewed layer gets more of them, and the fullest ranks less to do.
works(--loads ${loads} --ranks 4 --slot-budget 14 --solver balanced)
foreach(layer IN ITEMS 0 1)
  set(slots_${layer} 0)
  foreach(rank RANGE 3)
    string(JSON n GET "${out}" layers ${layer} slots_per_rank ${rank})
    math(EXPR slots_${layer} "${slots_${layer}} + ${n}")
  endforeach()
  string(JSON n LENGTH "${out}" layers ${layer} slots)
  if(NOT n EQUAL slots_${layer})
    fail("--slot-budget: ${n} slots of ${slots_${layer}}")
  endif()
endforeach()
math(EXPR all "${slots_0} + ${slots_1}")
if(NOT slots_0 GREATER slots_1 OR all GREATER 14)
  fail("--slot-budget: ${slots_0} and ${slots_1}")
endif()
string(JSON tokens GET "${out}" tokens)
string(JSON at_best GET "${out}" tokens_at_best)
string(JSON evenly GET "${out}" tokens_evenly_dealt)
if(NOT tokens LESS_EQUAL evenly OR tokens LESS at_best)
  fail("--slot-budget: ${tokens} tokens, at best ${at_best}, evenly ${evenly}")
endif()
works(--loads ${loads} --ranks 4 --slot-budget 14 --solver eplb --format text)
if(NOT out MATCHES "^eplb, [a-z]+: tokens of the fullest ranks, all layers: [0-9.]+, at best \
[0-9.]+, with as many slots for every layer [0-9.]+\nlayer 0, [0-9]+ slots")
  fail("--slot-budget as text")
endif()
run(--loads ${loads} --ranks 4 --slot-budget 7)
if(NOT status EQUAL 1 OR NOT err MATCHES "memory: 7 slots for 2 layers x 4 experts")
  fail("too small a slot budget is infeasible")
endif()
refused("--slots is required" --loads ${loads} --ranks 4)
refused("excludes" ${usual} --slot-budget 14)
refused("--format: csv" --loads ${loads} --ranks 4 --slot-budget 14 --format csv)
refused("--slot-budget: must be at least 1" --loads ${loads} --ranks 4 --slot-budget 0)

# What one format writes, --previous reads; the same loads again move nothing.
foreach(format IN ITEMS json eplb csv)
  works(${usual} --solver balanced --format ${format})
  file(WRITE ${SCRATCH}/previous "${out}")
  works(${usual} --solver incremental --previous ${SCRATCH}/previous)
  json_is(0 layers 0 moved)
  json_is(0 layers 1 moved)
endforeach()
works(${usual} --solver uniform --format eplb)
json_is("[[0,1,2,3,0,1,2,3],[0,1,2,3,0,1,2,3]]" phy2log)
json_is("[[2,2,2,2],[2,2,2,2]]" logcnt)
json_is("[[0,4],[1,5],[2,6],[3,7]]" log2phy 1)
works(${usual} --solver uniform --format csv)
if(NOT out STREQUAL "0,1,2,3,0,1,2,3\n0,1,2,3,0,1,2,3\n")
  fail("--format csv")
endif()
file(WRITE ${SCRATCH}/uniform.csv "${out}")
works(${usual} --solver incremental --previous ${SCRATCH}/uniform.csv --budget 0)
json_is("[0,1,2,3,0,1,2,3]" layers 0 slots)
works(${usual} --solver incremental --previous ${SCRATCH}/uniform.csv --budget 1)
json_is(1 layers 0 moved)
works(${usual} --solver swift_moe --previous ${SCRATCH}/uniform.csv --format text)
if(NOT out MATCHES "layer 0, largest over mean [0-9.]+, [0-9]+ moved: ")
  fail("--format text says what moved")
endif()

# previous placements that don't fit
function(previous text pattern)
  file(WRITE ${SCRATCH}/bad "${text}")
  refused("${pattern}" ${usual} --previous ${SCRATCH}/bad)
endfunction()
previous("0,1,2,3,0,1,2\n" "bad row 1: has 7 slots, the ranks have 8")
previous("0,1,2,3,0,1,2,3\n0,1,2,3,0,1,2\n" "bad row 2: has 7 values, the first row has 8")
previous("0,1,2,3,0,1,2,3\n" "bad row 1: is the last of 1 layers, the loads have 2")
previous("0,1,2,3,0,1,2,3\n0,1,2,3,0,1,4,3\n"
  "bad row 2, column 7: must be an expert below 4, is 4")
previous("0,1,2,3,0,1,2,3\n0,1,2,3,0,1,-1,3\n" "bad row 2, column 7: .* is -1")
previous("{\"phy2log\": [[0,1,2,3,0,1,2,3]]}" "bad: phy2log: has 1 layers, the loads 2")
previous("{\"phy2log\": [[0,1,2,3],[0,1,2,3]]}"
  "bad: phy2log: has 4 slots a layer, the ranks have 8")
previous("{\"phy2log\": [[0,1,2,3,0,1,2,3],[0,1,2,3,0,1,2,4]]}"
  "bad: phy2log: knows 5 experts, the loads 4")
previous("{\"phy2log\": [[0,1,2,3,0,1,2,3],[0,1,2,3,0,1,2,3]], \"logcnt\": [[2,2,2,2],[2,2,3,1]]}"
  "bad: logcnt\\[1\\]\\[2\\]: is 3, phy2log has 2")
previous("{\"layers\": [{\"slots\": [0,1]}]}" "bad: layers\\[0\\].slots: has 2 slots")
previous("{\"layers\"" "bad: is no JSON")
previous("" "bad: is empty")
refused("--budget: swift_moe keeps to none" ${usual} --budget 1)
refused("--budget: must be at least 0, is -1" ${usual} --budget -1)
refused("--nodes: must be at least 1" ${usual} --nodes 0)
refused("groups: must be from 0 to 4, is 5" ${usual} --groups 5)
refused("floor" ${usual} --solver lazarus --floor 0)

# A replay of our own training.
set(trace --series ${DATA}/expert_trace.csv --ranks 16 --slots 64)
works(${trace} --format json)
json_is(40 windows)
json_is(2 layers)
json_is(16 experts)
string(JSON policies LENGTH "${out}" policies)
foreach(i RANGE 1 ${policies})
  math(EXPR i "${i} - 1")
  string(JSON name GET "${out}" policies ${i} policy)
  string(REGEX REPLACE "[^a-z_]+" "_" name "${name}")
  foreach(key IN ITEMS fitted next_window worst_next exact_next moved drop_rate rank_drop_rate
    moved_bytes phase_seconds)
    string(JSON ${key}_of_${name} GET "${out}" policies ${i} ${key})
  endforeach()
endforeach()
if(NOT next_window_of_swift_moe LESS next_window_of_uniform
  OR NOT drop_rate_of_swift_moe LESS drop_rate_of_uniform)
  fail("swift_moe balances better and drops less than uniform")
endif()
if(NOT fitted_of_balanced LESS fitted_of_eplb OR NOT moved_of_incremental LESS moved_of_eplb)
  fail("balanced fits better, incremental moves less than eplb")
endif()
if(NOT moved_of_incremental LESS_EQUAL 2 OR NOT moved_of_uniform EQUAL 0
  OR NOT moved_bytes_of_swift_moe EQUAL 0)
  fail("moves: incremental ${moved_of_incremental}, uniform ${moved_of_uniform}")
endif()
if(NOT moved_of_eplb_keep_ranks LESS moved_of_eplb OR NOT next_window_of_eplb_keep_ranks EQUAL
  next_window_of_eplb)
  fail("matched rows move less and balance alike")
endif()
if(NOT rank_drop_rate_of_balanced LESS rank_drop_rate_of_swift_moe
  OR NOT rank_drop_rate_of_balanced LESS drop_rate_of_balanced)
  fail("balanced ranks drop little where slots share their buffers: ${rank_drop_rate_of_balanced}")
endif()
works(${trace} --from 30 --nodes 4 --groups 4 --format csv)
if(NOT out MATCHES "\nspilled_groups,[0-9.]+" OR NOT out MATCHES "\neplb_keep_ranks,[0-9.]+"
  OR NOT out MATCHES "\nincremental_exact,[0-9.]+")
  fail("a replay with groups")
endif()
works(${trace} --from 10 --to 19 --predict mean --every 3 --capacity-factor 1.5 --solver swift_moe
  --format csv)
if(NOT out MATCHES "^policy,fitted,.*\nswift_moe,[^\n]*,decoupled,[^\n]*\n$")
  fail("one policy as CSV")
endif()
# what comes before --from is known to the policies, and not scored
works(${trace} --from 30 --format json)
json_is(10 windows)
works(${trace} --from 30)
if(NOT out MATCHES "10 windows \\(iterations 30 to 39\\) of 2 layers x 16 experts; 64 slots on 16 \
ranks, placed anew every window, expecting the last loads; 8 earlier windows known"
  OR NOT out MATCHES "\neplb . keep_ranks +[0-9.]+" OR NOT out MATCHES
  "\nflexmoe +[0-9.]+ +[0-9.]+")
  fail("the table")
endif()

# Series of other forms: without a header, with other labels.
file(WRITE ${SCRATCH}/plain.csv "1,2,3\n4,5,6\n2,2,2\n5,5,5\n")
works(--series ${SCRATCH}/plain.csv --layers 2 --ranks 2 --slots 4 --format json)
json_is(2 windows)
file(WRITE ${SCRATCH}/labelled.csv
  "task,sequence,layer,e0,e1\nlaw,0,1,1,2\nlaw,0,2,3,4\r\nlaw,1,1,5,6\nlaw,1,2,7,8")
works(--series ${SCRATCH}/labelled.csv --ranks 2 --slots 4 --format json)
json_is(2 layers)
json_is(2 windows)

function(series text pattern)
  file(WRITE ${SCRATCH}/bad.csv "${text}")
  refused("${pattern}" --series ${SCRATCH}/bad.csv --ranks 2 --slots 4 ${ARGN})
endfunction()
set(head "iteration,layer,e0,e1\n")
series("${head}0,0,1,2\n1,0,1,-2\n" "bad.csv row 3, column 4: must be at least 0, is -2")
series("${head}0,0,1,2\n1,0,1,2.5\n" "bad.csv row 3, column 4: \"2.5\" is not a whole number")
series("${head}0,0,1,2\n1,0,1\n" "bad.csv row 3: has 3 values, the first row has 4")
series("${head}0,0,1,2\n\n" "bad.csv row 3: is empty")
series("${head}0,0,1,2\n1,0,4611686018427387000,1000\n"
  "bad.csv row 3, column 4: .* beyond 62 bits")
series("${head}0,0,1,2\n1,0,1,99999999999999999999\n"
  "bad.csv row 3, column 4: 99999999999999999999 is beyond 64 bits")
series("${head}0,0,1,2\n1,1,1,2\n" "bad.csv row 3, column 1: must be iteration 0")
series("${head}0,0,1,2\n0,2,1,2\n" "bad.csv row 3, column 2: must be layer 1, is 2")
series("${head}0,0,1,2\n0,1,1,2\n1,0,1,2\n2,0,1,2\n"
  "bad.csv row 5, column 2: begins a window after 1 of 2 layers")
series("${head}0,0,1,2\n0,1,1,2\n1,0,1,2\n" "bad.csv row 4: ends within a window of 2 layers")
series("${head}5,0,1,2\n5,0,1,2\n" "bad.csv row 3, column 1: must be after iteration 5, is 5")
series("${head}" "bad.csv: has no loads")
series("${head}0,0,1,2\n" "bad.csv: has 1 windows there")
series("iteration,layer\n0,0\n" "bad.csv row 1: names no expert")
series("5,5,5,5,5\n5,5,5,5,5\n" "policy: infeasible .* 4 slots for 5 experts")
series("${head}0,0,1,2\n1,0,1,2\n" "--capacity-factor: \"much\"" --capacity-factor much)
series("${head}0,0,1,2\n1,0,1,2\n" "--predict: guess" --predict guess)
series("${head}0,0,1,2\n1,0,1,2\n" "--near-sources" --near-sources)
series("${head}0,0,1,2\n1,0,1,2\n" "--previous" --previous ${SCRATCH}/uniform.csv)
series("${head}0,0,1,2\n1,0,1,2\n" "--format: eplb" --format eplb)
series("" "bad.csv: is empty")
refused("no-such.csv: can't be opened" --series ${SCRATCH}/no-such.csv --ranks 2 --slots 4)
refused("excludes" --series ${SCRATCH}/bad.csv ${usual})
string(ASCII 31 gzip)
file(WRITE ${SCRATCH}/packed.csv.gz "${gzip}...")
refused("gunzip -k .*packed.csv.gz" --series ${SCRATCH}/packed.csv.gz --ranks 2 --slots 4)
refused("gunzip -k .*packed.csv.gz" --loads ${SCRATCH}/packed.csv.gz --ranks 2 --slots 4)
refused("gunzip -k .*packed.csv.gz" --sources ${SCRATCH}/packed.csv.gz --ranks 2 --slots 4)
refused("gunzip -k .*packed.csv.gz" ${usual} --solver incremental --previous
  ${SCRATCH}/packed.csv.gz)

# A byte-order mark, carriage returns, quotes and decimal numbers change nothing.
string(ASCII 239 187 191 mark)
works(${usual})
string(JSON plain GET "${out}" layers)
foreach(text IN ITEMS "${mark}70,20,6,4\r\n10,10,10,10\r\n"
  "\"70\",\"20\",\"6\",\"4\"\n10, 10,10 ,10"
    "7.000000000000000000e+01,2e1,6.0,4\n1.0E+1,10,10,10\n")
  file(WRITE ${SCRATCH}/other.csv "${text}")
  works(--loads ${SCRATCH}/other.csv --ranks 4 --slots 8)
  string(JSON found GET "${out}" layers)
  if(NOT found STREQUAL plain)
    fail("${text} reads like plain loads")
  endif()
endforeach()
set(replayed --ranks 2 --slots 4 --solver uniform --from 1003 --format csv)
set(windows "1001,0,5,1\n1002,0,5,2\n1003,0,5,3\n1004,0,5,4\n")
file(WRITE ${SCRATCH}/plain.csv "iteration,layer,e0,e1\n${windows}")
works(--series ${SCRATCH}/plain.csv ${replayed})
set(plain "${out}")
string(REPLACE "\n" "\r\n" windows "\"iteration\",\"layer\",e0,e1\n${windows}")
file(WRITE ${SCRATCH}/marked.csv "${mark}${windows}")
works(--series ${SCRATCH}/marked.csv ${replayed})
if(NOT out STREQUAL plain)
  fail("a series with a mark reads like the same without")
endif()
file(WRITE ${SCRATCH}/long.csv "layer_id,expert_id,count\n3,0,24990\n3,1,120\n")
refused("long.csv row 1: is a header .*--loads wants one row a layer, one column an expert" --loads
  ${SCRATCH}/long.csv --ranks 2 --slots 6)

# Placements in force, as serving systems name them; nothing may stand behind a document.
file(WRITE ${SCRATCH}/two.csv "5,1\n")
set(two --loads ${SCRATCH}/two.csv --ranks 2 --slots 4 --solver incremental --previous
  ${SCRATCH}/force.json)
foreach(text IN ITEMS "{\"physical_to_logical_map\": [[1, 1, 0, 0]]}"
  "${mark}{\"physical_to_logical_map\": [[1, 1, 0, 0]]}\r\n" "{\"phy2log\": [[1, 1, 0, 0]]}"
    "1,1,0,0\n" "${mark}1,1,0,0\n" "{\"layers\": [{\"slots\": [1, 1, 0, 0]}]}")
  file(WRITE ${SCRATCH}/force.json "${text}")
  works(${two} --budget 0)
  json_is([1,1,0,0] layers 0 slots)
endforeach()
foreach(bad IN ITEMS "{\"phy2log\": [[1, 1, 0, 0]]} 1@has more after its end"
  "{\"map\": [[1, 1, 0, 0]]}@has none of the keys layers .* phy2log .* physical_to_logical_map"
    "{\"physical_to_logical_map\": [[1, 1, 0]]}@physical_to_logical_map: has 3 slots a layer"
    "{\"phy2log\": [[0]], \"physical_to_logical_map\": [[0]]}@is phy2log under another name")
  string(REGEX MATCH "^(.*)@(.*)$" bad "${bad}")
  set(pattern "${CMAKE_MATCH_2}")
  file(WRITE ${SCRATCH}/force.json "${CMAKE_MATCH_1}")
  refused("force.json: .*${pattern}" ${two})
endforeach()
