# train_your_own: a model through a lost worker on threads and on processes, in few lines.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P train_your_own.cmake
cmake_minimum_required(VERSION 3.25)
set(program train_your_own)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

if(NOT EXISTS ${PROGRAMS}/train_your_own)
  message("skipped: train_your_own is not built")
  return()
endif()

foreach(kill IN ITEMS "" 0:0@0 2:2@39 1:0@20)
  set(arguments "")
  if(kill)
    set(arguments --kill ${kill})
  else()
    set(kill 1:1@10)
  endif()
  run(${arguments})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "" OR NOT out MATCHES
      "^worker ${kill} lost on threads: loss [0-9.]+ to [0-9.]+\nworker ${kill} lost on processes: \
loss [0-9.]+ to [0-9.]+\nidentical: 40 losses\n$")
    message(SEND_ERROR "--kill ${kill}: status ${status}\n${out}${err}")
  endif()
endforeach()

foreach(kill IN ITEMS 3:0@1 0:3@1 0:0@40 0:0 x 0:0@1,1:1@2)
  run(--kill ${kill})
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^error: [^\n]*kill[^\n]+\n$")
    message(SEND_ERROR "--kill ${kill}: status ${status}\n${out}${err}")
  endif()
endforeach()

# The lines that docs/training-your-model.md shows.
get_filename_component(tree ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
file(READ ${tree}/../examples/train_your_own/main.cpp text)
string(REGEX MATCHALL "\n" all "${text}")
list(LENGTH all total)
string(REGEX MATCH "\n// docs/training-your-model.md {\n(.*)\n// }\n" shown "${text}")
string(REGEX MATCHALL "\n" marked "${CMAKE_MATCH_1}\n")
list(LENGTH marked marked)
message("${marked} marked lines of ${total}")
if(marked GREATER 80 OR marked LESS 20 OR total GREATER 150)
  message(SEND_ERROR "at most 80 marked lines and 150 in all are allowed")
endif()
