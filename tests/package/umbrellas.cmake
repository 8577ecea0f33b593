# Every door of a room stands in the room's umbrella and no machinery does:
# cmake -D TREE=<repository> -P umbrellas.cmake
# Machinery stands in a folder of one of the names below. Rooms of device headers (.cuh) keep those
# out of their umbrellas, for they need nvcc.
cmake_minimum_required(VERSION 3.25)

set(machinery "/(search|host|streams|recovery|detail)/")

set(wrong 0)
file(GLOB_RECURSE headers RELATIVE ${TREE}/include ${TREE}/include/shunt/*/*.hpp)
foreach(header IN LISTS headers)
  string(REGEX MATCH "^shunt/([a-z0-9_]+)/" room ${header})
  set(umbrella include/shunt/${CMAKE_MATCH_1}.hpp)
  file(STRINGS ${TREE}/${umbrella} lines)
  if(header MATCHES "${machinery}" AND "#include \"${header}\"" IN_LIST lines)
    message("${umbrella} includes machinery: ${header}")
    math(EXPR wrong "${wrong} + 1")
  elseif(NOT header MATCHES "${machinery}|^shunt/solve/(author|named)/"
    AND NOT "#include \"${header}\"" IN_LIST lines)
    message("${umbrella} leaves out ${header}")
    math(EXPR wrong "${wrong} + 1")
  endif()
endforeach()

list(LENGTH headers count)
if(wrong OR NOT count)
  message(FATAL_ERROR "${wrong} of ${count} headers stand wrongly")
endif()
message("the umbrellas of ${count} headers have all doors and no machinery")
