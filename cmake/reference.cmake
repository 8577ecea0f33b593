# Writes docs/reference.md, one line a header:
#   cmake -D TREE=<repository> -P cmake/reference.cmake
# Only compares, and fails where the page is not current:
#   cmake -D TREE=<repository> -D CHECK=ON -P cmake/reference.cmake
# A line is the first sentence of the header's opening comment, or of its first documented entity
# outside of namespace detail. Implementations (.ipp) and machinery (the folders search, host,
# streams, recovery and detail) are left out.
cmake_minimum_required(VERSION 3.25)

# room | what it holds, in the order of the way of data; of a subfolder: room/folder | what it holds
set(rooms
  "core|Ids that cannot be mixed up, indexed containers, units, errors, solutions."
  "problem|What is given: pipeline jobs, expert loads, optimizer states, clusters."
  "plan|What is to be done, as plain data."
  "solve|Solvers. One algorithm a header, named as its paper names it."
  "solve/pipeline|Schedules of pipelines."
  "solve/experts|Placements of experts."
  "solve/shards|Owners of optimizer state."
  "solve/author|For authors of solvers."
  "solve/named|For programs that choose a solver by its name; no umbrella has them."
  "measure|Times, periods, bubbles, memory, imbalance, traffic and lower bounds of plans."
  "check|All violations of a plan or a program, as data. Shares no code with the solvers."
  "lower|From a plan to a program. One header per family of plans."
  "program|Instructions, their builder, their dependencies, and the timeline."
  "execute|Executors, their concepts, and recovery after lost ranks."
  "simulate|Cost models, and the executor with a virtual clock."
  "io|SVG, Chrome trace, text grids, CSV, the CSV of PyTorch's pipelining."
  "device|What kernels compute, as function objects that any C++20 compiler takes."
  "train|The training runs of SlipStream and SwiftMoE."
  "launch|Launchers' environments, rendezvous, worker processes and output files (POSIX)."
  "compose|Schedules of your own from ranges or from blocks that repeat. Needs range-v3."
  "json|Problems, plans and programs as JSON. Needs nlohmann-json."
  "gloo|Gloo as a transport, and the executor of one process per rank. Needs Gloo."
  "cuda|CUDA's streams, graphs and kernels. Needs the CUDA toolkit."
  "nccl|NCCL as a stream transport, and an executor over it. Needs NCCL.")
set(machinery "/(search|host|streams|recovery|detail)/")

# The first sentence of a header's first comment that starts with three slashes, as one line.
function(first_sentence path out)
  file(READ ${path} text)
  string(REGEX REPLACE "^.*#pragma once\n" "" text "${text}")
  # Without namespace detail.
  while(1)
    string(FIND "${text}" "\nnamespace detail {" from)
    string(FIND "${text}" "}  // namespace detail\n" to)
    if(from EQUAL -1 OR to LESS from)
      break()
    endif()
    string(SUBSTRING "${text}" 0 ${from} before)
    string(SUBSTRING "${text}" ${to} -1 after)
    string(REPLACE "}  // namespace detail\n" "\n" before "${before}")
    string(REGEX REPLACE "^}  // namespace detail" "" after "${after}")
    set(text "${before}${after}")
  endwhile()
  set(sentence "")
  if("\n${text}" MATCHES "\n *(/// [^\n]*(\n */// [^\n]*)*)")
    string(REGEX REPLACE "\n? */// *" " " sentence "${CMAKE_MATCH_1}")
    string(STRIP "${sentence}" sentence)
    # A sentence ends at a full stop before a blank that no lower-case letter follows.
    string(REPLACE "et al. " "et al.~" sentence "${sentence}")
    if(sentence MATCHES "[]A-Za-z0-9)'`\"]\\. [^a-z]")
      string(FIND "${sentence}" "${CMAKE_MATCH_0}" at)
      math(EXPR length "${at} + 2")
      string(SUBSTRING "${sentence}" 0 ${length} sentence)
    endif()
    string(REPLACE "et al.~" "et al. " sentence "${sentence}")
    string(REGEX REPLACE ":$" "." sentence "${sentence}")
  endif()
  string(REPLACE "|" "\\|" sentence "${sentence}")
  set(${out} "${sentence}" PARENT_SCOPE)
endfunction()

# The rooms of the tree, each with a line of the table above.
file(GLOB_RECURSE headers RELATIVE ${TREE}/include/shunt
  ${TREE}/include/shunt/*.hpp ${TREE}/include/shunt/*.cuh)
list(FILTER headers EXCLUDE REGEX "${machinery}")
list(SORT headers)
set(known "")
foreach(row IN LISTS rooms)
  string(REGEX MATCH "^([^|]+)\\|(.*)$" row "${row}")
  list(APPEND known ${CMAKE_MATCH_1})
  set(about_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
endforeach()
foreach(header IN LISTS headers)
  cmake_path(GET header PARENT_PATH folder)
  if(folder AND NOT folder IN_LIST known)
    message(FATAL_ERROR "cmake/reference.cmake has no line for the room ${folder} (${header})")
  endif()
  list(APPEND headers_of_${folder} ${header})
endforeach()

set(page "# Reference

One line a header, in the order of [the way of data](way-of-data.md). A header of a room is included
as `<shunt/room/header.hpp>`, a whole room as `<shunt/room.hpp>`; `<shunt/shunt.hpp>` has all rooms
that need no other project. This page is written by `cmake -D TREE=. -P cmake/reference.cmake`.
")
set(count 0)
foreach(folder IN LISTS known)
  if(NOT headers_of_${folder})
    continue()
  endif()
  set(level "##")
  if(folder MATCHES "/")
    set(level "###")
  endif()
  string(APPEND page "\n${level} ${folder}\n\n${about_${folder}}\n\n| header | |\n|---|---|\n")
  foreach(header IN LISTS headers_of_${folder})
    cmake_path(GET header FILENAME name)
    first_sentence(${TREE}/include/shunt/${header} sentence)
    string(APPEND page "| [`${name}`](../include/shunt/${header}) | ${sentence} |\n")
    math(EXPR count "${count} + 1")
  endforeach()
endforeach()

if(CHECK)
  set(current "")
  if(EXISTS ${TREE}/docs/reference.md)
    file(READ ${TREE}/docs/reference.md current)
  endif()
  if(NOT page STREQUAL current)
    message(FATAL_ERROR
      "docs/reference.md is not current: run cmake -D TREE=. -P cmake/reference.cmake")
  endif()
  message("docs/reference.md is current: ${count} headers")
else()
  file(WRITE ${TREE}/docs/reference.md "${page}")
  message("docs/reference.md: ${count} headers")
endif()
