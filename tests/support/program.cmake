# What scripts that run example programs share. PROGRAMS: their directory; `program`: the one that
# `run` starts, or "" where its first argument says it.

# run(<argument>...) leaves status, out, err.
macro(run)
  if(program)
    execute_process(COMMAND ${PROGRAMS}/${program} ${ARGN} RESULT_VARIABLE status
      OUTPUT_VARIABLE out ERROR_VARIABLE err)
  else()
    execute_process(COMMAND ${PROGRAMS}/${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out
      ERROR_VARIABLE err)
  endif()
endmacro()

function(fail why)
  message(SEND_ERROR "${why}\nstatus ${status}\nout: ${out}\nerr: ${err}")
endfunction()

# works(<argument>...): status 0 and nothing on standard error.
macro(works)
  run(${ARGN})
  if(NOT status EQUAL 0 OR NOT err STREQUAL "")
    fail("${program} ${ARGN}")
  endif()
endmacro()

# refused(<pattern> <argument>...): status 2, nothing but one line on standard error that matches.
function(refused pattern)
  run(${ARGN})
  if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES "^error: [^\n]+\n$"
    OR NOT err MATCHES "${pattern}")
    fail("${program} ${ARGN}: should be refused with ${pattern}")
  endif()
endfunction()

# json_is(<expected> <key>...): what the last answer holds there, as it is or without white space.
function(json_is expected)
  string(JSON found ERROR_VARIABLE error GET "${out}" ${ARGN})
  string(REGEX REPLACE "[ \n]" "" dense "${found}")
  if(error OR NOT (found STREQUAL expected OR dense STREQUAL expected))
    fail("${ARGN}: is ${found} ${error}, should be ${expected}")
  endif()
endfunction()
