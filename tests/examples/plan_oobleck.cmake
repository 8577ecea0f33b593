# plan_oobleck: templates, batches and reconfigurations as scripts ask for them, and one line for
# what is no input.
# cmake -D PROGRAMS=<directory> -D DATA=<tests/data> -D SCRATCH=<directory> -P plan_oobleck.cmake
cmake_minimum_required(VERSION 3.25)
set(program plan_oobleck)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

# run(<argument>...) leaves status, out, err. A + stands for a semicolon, which CMake's lists split.
macro(run)
  string(REPLACE "+" "\\;" arguments "${ARGN}")
  execute_process(COMMAND ${PROGRAMS}/plan_oobleck ${arguments} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
endmacro()

set(equal ${SCRATCH}/equal.csv)
file(WRITE ${equal} "1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n1,2\n")
set(other ${SCRATCH}/other.csv)
file(WRITE ${other} "forward,backward\n1,2\n2,4\n1,2\n3,3\n1,2\n1,2\n")

# templates
works(templates --layers ${equal} --nodes 8)
string(JSON count LENGTH "${out}" templates)
if(NOT count EQUAL 8)
  fail("${count} templates")
endif()
json_is("[[0,3,1],[3,6,1],[6,8,1]]" templates 2 stages)
json_is("3" templates 2 nodes)
json_is("111.0" templates 2 time)
works(templates --layers ${equal} --nodes 8 --minimum 7)
json_is("7" templates 0 nodes)
works(templates --layers ${other} --nodes 3 --gpus 4 --all-reduce 2:0.1,4:0.2)
json_is("[[0,2,4],[2,4,4],[4,6,4]]" templates 2 stages)
works(templates --layers ${equal} --nodes 3 --cost simulated --microbatches-per-node 2)
json_is("simulated" cost)
set(heavy ${SCRATCH}/heavy.csv)
file(WRITE ${heavy} "1,2,100,50\n1.5,2.5,100,70\n1,2,100,50\n")
works(templates --layers ${heavy} --nodes 3 --memory 1K)
json_is("2" minimum) # 6 x 300 + 70
refused("--memory: a pipeline needs at least 4 nodes, there are 3" templates --layers ${heavy}
  --nodes 3 --memory 500)
refused("--layers: 3 are fewer than the stages of 4 nodes" templates --layers ${heavy} --nodes 5
  --minimum 4)
refused("--gpus: 6 of a node are no power of two" templates --layers ${equal} --nodes 2 --gpus 6)
refused("--all-reduce: has no time for 8 GPUs" templates --layers ${equal} --nodes 2 --gpus 8
  --all-reduce 2:1,4:1)
refused("--all-reduce\\[0\\] \\(gpus\\): must be 2" templates --layers ${equal} --nodes 2
  --gpus 4 --all-reduce 4:1)
refused("--all-reduce\\[0\\]: \"2\" is not gpus:time" templates --layers ${equal} --nodes 2
  --all-reduce 2)

# CSV
set(broken ${SCRATCH}/broken.csv)
foreach(case IN ITEMS "1,2\\n1,x\\n|row 2, column 2: \"x\" is not a number"
  "1,2\\n1\\n|row 2: has 1 values, the first row has 2"
  "1,2\\n0,2\\n|row 2, column 1: must be above 0" "1,2,3\\n|row 1: has 3 values"
  "1,2\\n\\n|row 2: is empty" "|is empty" "1,2,1.5,0\\n|row 1, column 3: "
  "1,nan\\n|row 1, column 2: \"nan\" is not a number"
  "forwards,backward\\n1,2\\n|row 1, column 1: \"forwards\" is not a number"
  "forward,backward\\n1,2,3,4\\n|row 2: has 4 values, the first row has 2"
  "forward,backward\\n|is empty")
  string(REGEX MATCH "^(.*)\\|(.*)$" case "${case}")
  string(REPLACE "\\n" "\n" text "${CMAKE_MATCH_1}")
  file(WRITE ${broken} "${text}")
  refused("broken.csv:? ?${CMAKE_MATCH_2}" templates --layers ${broken} --nodes 1)
endforeach()
refused("missing.csv" templates --layers ${SCRATCH}/missing.csv --nodes 1)

# reconfigure
works(reconfigure --pipelines "0,1+2,3,4" --lost 2,4 --minimum 2)
json_is("[[0,1,3]]" pipelines)
works(reconfigure --pipelines "0,1,2+3,4,5+6,7,8" --lost 0 --minimum 2 --layers ${equal}
  --published)
json_is("[[1,2],[3,4,5],[6,7,8]]" pipelines)
json_is("optimal" status)
json_is("[]" lost_layers)
json_is("0" copies 0 layer)
json_is("3" copies 0 from)
json_is("[1]" copies 0 to)
json_is("4" copies 3 from)
works(reconfigure --pipelines "0,1,2,3+4,5,6,7+8,9,10,11" --lost 1,2,5 --minimum 3 --layers
  ${equal})
json_is("[2]" published_stops)
json_is("9" copies 0 from)
json_is("[0,4,8]" copies 0 to)

# no_plan(<reason> <argument>...): status 1, the answer as far as it goes, and one line.
macro(no_plan reason)
  run(${ARGN})
  if(NOT status EQUAL 1 OR NOT err MATCHES "^infeasible: ${reason}[^\n]*\n$")
    fail("plan_oobleck ${ARGN}: should have no plan")
  endif()
  json_is("infeasible" status)
endmacro()
no_plan("no live rank has layers 0 to 3" reconfigure --pipelines
  "0,1,2,3+4,5,6,7+8,9,10,11" --lost 0,1,4,5,8,9 --minimum 3 --layers ${equal})
json_is("[0,1,2,3]" lost_layers)
json_is("[[2,3,6,7,10,11]]" pipelines)
no_plan("no rank keeps layer 2" reconfigure --pipelines
  "0,1,2,3+4,5,6,7+8,9,10,11" --lost 1,2,5 --minimum 3 --layers ${equal} --published)
no_plan("ranks are insufficient" reconfigure --pipelines "0,1+2,3" --lost 0,1,2 --minimum 2)
refused("--lost\\[1\\]: is rank 9, which is in no pipeline" reconfigure --pipelines "0,1+2,3"
  --lost 0,9 --minimum 1)
refused("--lost\\[1\\]: names rank 1 for the second time" reconfigure --pipelines "0,1+2,3"
  --lost 1,1 --minimum 1)
refused("--pipelines\\[1\\]\\[0\\]: names rank 1 for the second time" reconfigure --pipelines
  "0,1+1,3" --minimum 1)
refused("--pipelines\\[1\\]: has no rank" reconfigure --pipelines "0,1++2" --minimum 1)
refused("--pipelines\\[0\\]\\[1\\]: \"x\" is not a whole number" reconfigure --pipelines "0,x"
  --minimum 1)
refused("--pipelines\\[0\\]: has 9 ranks, more than the 8 layers" reconfigure --pipelines
  "0,1,2,3,4,5,6,7,8" --minimum 1 --layers ${equal})

# batch
works(batch --templates 2:1,3:1 --batch 20 --layers ${equal} --published)
json_is("[8,12]" microbatches)
json_is("72.0" objective)
json_is("1332.0" time)
works(batch --templates 3:1,2:1 --batch 20 --layers ${equal} --published)
json_is("[12,8]" microbatches)
works(batch --templates 2:1,3:1 --batch 20 --layers ${equal})
string(JSON time GET "${out}" time)
if(time GREATER 123)
  fail("${time} is worse than the published split")
endif()
works(batch --templates 2:2 --batch 15 --layers ${equal} --uneven)
json_is("[[8,7]]" pipelines)
refused("--batch: no equal numbers of micro-batches" batch --templates 2:2 --batch 15 --layers
  ${equal})
refused("--batch: no equal numbers of micro-batches" batch --templates 2:2 --batch 15 --layers
  ${equal} --published)
refused("--batch: 1 micro-batches are fewer than 2 pipelines" batch --templates 2:2 --batch 1
  --layers ${equal})
refused("--templates\\[0\\]: is of 9 nodes, more than the 8 layers" batch --templates 9:1 --batch 15
  --layers ${equal})
refused("--templates\\[1\\]: names the template of 2 nodes for the second time" batch --templates
  2:1,2:2 --batch 15 --layers ${equal})
refused("--templates\\[0\\]: \"2\" is not nodes:count" batch --templates 2 --batch 15 --layers
  ${equal})
refused("A subcommand is required")
