# The quick start of the README prints what the README says.
execute_process(COMMAND ${PROGRAMS}/quick_start WORKING_DIRECTORY ${SCRATCH} OUTPUT_VARIABLE out
  COMMAND_ERROR_IS_FATAL ANY)
set(expected "optimal: period 30, no plan is below 30
one_f_one_b | reroute | split_backward | stagger_step: period 30
0 0 0 0 0 1 2 3 
")
if(NOT out STREQUAL expected)
  message(FATAL_ERROR "quick_start prints\n${out}")
endif()
file(READ ${SCRATCH}/schedule.svg picture LIMIT 100)
if(NOT picture MATCHES "<svg")
  message(FATAL_ERROR "schedule.svg is no picture: ${picture}")
endif()
