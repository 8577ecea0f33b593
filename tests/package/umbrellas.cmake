# Every header of a room stands in the room's umbrella: cmake -D TREE=<repository> -P umbrellas.cmake
# Rooms of device headers (.cuh) keep those out of it, for they need nvcc.
cmake_minimum_required(VERSION 3.25)

set(forgotten 0)
file(GLOB_RECURSE headers RELATIVE ${TREE}/include ${TREE}/include/shunt/*/*.hpp)
foreach(header IN LISTS headers)
  string(REGEX MATCH "^shunt/([a-z0-9_]+)/" room ${header})
  set(umbrella include/shunt/${CMAKE_MATCH_1}.hpp)
  file(STRINGS ${TREE}/${umbrella} lines)
  if(NOT "#include \"${header}\"" IN_LIST lines)
    message("${umbrella} leaves out ${header}")
    math(EXPR forgotten "${forgotten} + 1")
  endif()
endforeach()

list(LENGTH headers count)
if(forgotten OR NOT count)
  message(FATAL_ERROR "${forgotten} of ${count} headers stand in no umbrella")
endif()
message("${count} headers stand in their room's umbrella")
