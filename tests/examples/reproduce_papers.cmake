# reproduce_papers as scripts use it: text, JSON, the picture, and one clear line for bad input.
# cmake -D PROGRAMS=<directory> -D DATA=<tests/data> -D SCRATCH=<directory>
#   -P reproduce_papers.cmake
cmake_minimum_required(VERSION 3.25)

# run(<argument>...) leaves status, out, err.
macro(run)
  execute_process(COMMAND ${PROGRAMS}/reproduce_papers ${ARGN} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
endmacro()

function(fail why)
  message(SEND_ERROR "${why}\nstatus ${status}\nout: ${out}\nerr: ${err}")
endfunction()

# refused(<pattern> <argument>...): status 2, nothing but one line on standard error that matches.
function(refused pattern)
  run(${ARGN})
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^error: [^\n]+\n$"
    OR NOT err MATCHES "${pattern}")
    fail("${ARGN}: should be refused with ${pattern}")
  endif()
endfunction()

set(curve ${SCRATCH}/curve.csv)
file(WRITE ${curve} "hours,nodes\n0.0,24\n0.5,22\n1.25,23\n2,23\n")
set(picture ${SCRATCH}/throughput.svg)
run(--traces ${DATA}/failures --availability ${curve} --svg ${picture} --svg-trace p3)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("text")
endif()
foreach(line IN ITEMS "here, as shipped +29.305 +29.205 +29.114 +28.700 +24.599 +22.490"
  "GPT-3 3.5B / 6.7B +10.80 +10.8 +10.26" "SlipStream as published, no cost"
  "D = 6, S = 4, M = 24" "Where figures differ")
  if(NOT out MATCHES "${line}")
    fail("text without ${line}")
  endif()
endforeach()
file(READ ${picture} svg)
if(NOT svg MATCHES "^<svg [^>]*>" OR NOT svg MATCHES "trace p3" OR NOT svg MATCHES "Varuna")
  fail("the picture")
endif()

run(--traces ${DATA}/failures --json)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("JSON")
endif()
string(JSON length LENGTH "${out}" artifact)
if(NOT length EQUAL 10)
  fail("${length} tables of the artifact")
endif()
string(JSON length LENGTH "${out}" tables) # 12 systems x 6 traces x 3 models, Bamboo fits into one
if(NOT length EQUAL 204)
  fail("${length} rows")
endif()
string(JSON system GET "${out}" tables 0 system)
string(JSON mean GET "${out}" tables 0 lost degraded)

refused("--traces" --traces)
refused("no/such/folder/6h.csv" --traces /no/such/folder)
file(WRITE ${curve} "0,24\n1,x\n")
refused("curve.csv row 2, column 2: \"x\" is not a whole number" --availability ${curve})
file(WRITE ${curve} "0,24\n0,23\n")
refused("curve.csv row 2, column 1: is not behind" --availability ${curve})
file(WRITE ${curve} "0,24\n-1,23\n")
refused("curve.csv row 2, column 1: \"-1\" is no time" --availability ${curve})
file(WRITE ${curve} "0,24\n")
refused("has less than two rows" --availability ${curve})
refused("--svg" --svg /no/such/folder/picture.svg)
refused("--svg-trace" --svg-trace p4)
refused("did you mean --json" --jsn)
