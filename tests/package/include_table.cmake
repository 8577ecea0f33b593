# Holds every header of include/shunt to the table of rooms:
# cmake -D TREE=<repository> -P include_table.cmake
# A room is a directory of include/shunt together with its umbrella, include/shunt/<room>.hpp.
# Prints file:line of each offence.
cmake_minimum_required(VERSION 3.25)

# room     | the rooms that it may include, beside itself | other projects' headers that it may name
set(table
  "version  ||"
  "core     ||"
  "problem  | core |"
  "plan     | core problem |"
  "program  | core |"
  "lower    | core problem plan program |"
  "measure  | core problem plan program |"
  "check    | core problem plan program |"
  "io       | core problem plan program |"
  "json     | core problem plan program io | nlohmann/"
  "solve    | core problem plan measure |"
  "execute  | core program |"
  "simulate | core problem program execute |"
  "train    | core problem plan program lower measure check solve execute simulate device |"
  "compose  | core problem plan measure solve check | range/v3/"
  "device   | core problem plan |"
  "launch   | core | (sys|netinet)/[a-z]+\\.h (fcntl|netdb|poll|signal|unistd)\\.h"
  "gloo     | core program execute launch | gloo/ net/if\\.h"
  "cuda     | core problem plan solve program execute device | \
(cuda|cub|thrust|nvtx3)/ cu(da|blas)[A-Za-z_]*\\.h cooperative_groups"
  "nccl     | core problem plan solve program execute device cuda launch | \
nccl\\.h cuda_runtime_api\\.h"
  "shunt    | version core problem plan program lower measure check io solve execute simulate \
device |")

foreach(row IN LISTS table)
  string(REGEX MATCH "^([a-z]+) *\\|([^|]*)\\|(.*)$" row "${row}")
  set(room ${CMAKE_MATCH_1})
  string(STRIP "${CMAKE_MATCH_2}" rooms)
  string(STRIP "${CMAKE_MATCH_3}" foreign)
  string(REPLACE " " ";" rooms_of_${room} "${room} ${rooms}")
  string(REPLACE " " "|" foreign_of_${room} "${foreign}")
endforeach()

function(offence text)
  message("${path}:${number}: ${text}")
  math(EXPR offences "${offences} + 1")
  set(offences ${offences} PARENT_SCOPE)
endfunction()

set(offences 0)
file(GLOB_RECURSE paths RELATIVE ${TREE} ${TREE}/include/shunt/*)
foreach(path IN LISTS paths)
  string(REGEX MATCH "^include/shunt/([a-z0-9_]+)" room ${path})
  set(room ${CMAKE_MATCH_1})
  set(number 1)
  if(NOT DEFINED rooms_of_${room})
    offence("${room} is not a room of the table")
    continue()
  endif()

  file(READ ${TREE}/${path} text)
  string(REGEX REPLACE "[][;\\]" " " text "${text}") # these have a meaning in CMake's lists
  string(REPLACE "\n" ";" lines "${text}")
  set(number 0)
  foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    if(NOT line MATCHES "^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)")
      continue()
    endif()
    set(header ${CMAKE_MATCH_1})
    if(header MATCHES "^shunt/([a-z0-9_]+)")
      if(NOT CMAKE_MATCH_1 IN_LIST rooms_of_${room})
        offence("${room} may not include ${CMAKE_MATCH_1} (${header})")
      endif()
    elseif(header MATCHES "[./]" AND NOT (foreign_of_${room}
      AND header MATCHES "^(${foreign_of_${room}})"))
      offence("${room} may not name another project's header (${header})")
    endif()
  endforeach()
endforeach()

list(LENGTH paths count)
if(offences OR NOT count)
  message(FATAL_ERROR "${offences} forbidden includes in ${count} headers")
endif()
message("${count} headers keep to the table")
