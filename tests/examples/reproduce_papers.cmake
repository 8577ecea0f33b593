# reproduce_papers as scripts use it: text, JSON, the picture, and one clear line for bad input.
# cmake -D PROGRAMS=<directory> -D DATA=<tests/data> -D SCRATCH=<directory>
#   -P reproduce_papers.cmake
cmake_minimum_required(VERSION 3.25)
set(program reproduce_papers)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

set(curve ${SCRATCH}/curve.csv)
file(WRITE ${curve} "hours,nodes\n0.0,24\n0.5,22\n1.25,23\n2,23\n")
set(picture ${SCRATCH}/throughput.svg)
run(--traces ${DATA}/failures --availability ${curve} --svg ${picture} --svg-trace p3 --seeds 0)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("text")
endif()
foreach(line IN ITEMS "here, as shipped +29.305 +29.205 +29.114 +28.700 +24.599 +22.490"
  "GPT-3 3.5B / 6.7B +10.80 +10.8 +10.26" "SlipStream as published, no cost"
  "D = 6, S = 4, M = 24" "best of all moves, aborted . +1.283 +1.105 +1.002"
  "Where figures differ")
  if(NOT out MATCHES "${line}")
    fail("text without ${line}")
  endif()
endforeach()
file(READ ${picture} svg)
if(NOT svg MATCHES "^<svg [^>]*>" OR NOT svg MATCHES "trace p3" OR NOT svg MATCHES "Varuna")
  fail("the picture")
endif()

# Systems with mixtures of experts: the table beside the paper's figures, and the picture.
set(loss ${SCRATCH}/loss.svg)
file(WRITE ${SCRATCH}/text.txt "a text that is long enough for a window of nine bytes")
run(--traces ${DATA}/failures --seeds 2 --iterations 12 --text ${SCRATCH}/text.txt --svg-loss
  ${loss})
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("text with systems")
endif()
foreach(line IN ITEMS "\nseed 2 flexmoe-100: dropped [0-9.]+ %, loss [0-9.]+ at the end\n"
  "\nsystems over 2 seeds .from 1., target loss [0-9.]+ "
    "compute +exchange +gradient +weights +migrate +total"
    "\nswift_moe has less, in %; last, the paper's\n"
    "\nthan deepspeed +[0-9.-]+ .*[ )]28.5 +69 +30.5\n" "\nthan flexmoe-10 .* 0.0 +43 +25.9\n"
    "\niterations .*: a small model")
  if(NOT out MATCHES "${line}")
    fail("systems without ${line}")
  endif()
endforeach()
file(READ ${loss} svg)
if(NOT svg MATCHES "^<svg [^>]*>" OR NOT svg MATCHES "medians of 2 seeds" OR NOT svg MATCHES
  "flexmoe-100")
  fail("the picture of losses")
endif()

run(--traces ${DATA}/failures --json --seeds 1 --iterations 3 --text ${SCRATCH}/text.txt)
string(JSON name GET "${out}" experts systems 4 system)
string(JSON published GET "${out}" experts systems 4 published_reductions_percent time)
string(JSON median GET "${out}" experts systems 4 reductions_percent drops runs)
if(NOT name STREQUAL flexmoe-100 OR NOT published EQUAL 29.4)
  fail("systems as JSON")
endif()

run(--traces ${DATA}/failures --json --seeds 0)
if(NOT status EQUAL 0 OR NOT err STREQUAL "")
  fail("JSON")
endif()
string(JSON length LENGTH "${out}" artifact)
if(NOT length EQUAL 10)
  fail("${length} tables of the artifact")
endif()
string(JSON length LENGTH "${out}" tables) # 14 systems x 6 traces x 3 models, Bamboo fits into one
if(NOT length EQUAL 240)
  fail("${length} rows")
endif()
string(JSON system GET "${out}" tables 0 system)
string(JSON best GET "${out}" steady 5 steady 0)
if(best LESS 1.27)
  fail("${best} of the best of all moves")
endif()
string(JSON mean GET "${out}" tables 0 lost degraded)

file(WRITE ${SCRATCH}/short.txt "abc")
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
refused("--svg-loss: needs trainings" --svg-loss ${loss} --seeds 0)
refused("text: no file /no/such/text" --text /no/such/text)
refused("text: has 3 bytes" --text ${SCRATCH}/short.txt)
refused("--svg" --svg /no/such/folder/picture.svg)
refused("--svg-trace" --svg-trace p4)
refused("did you mean --json" --jsn)
