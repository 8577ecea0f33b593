# The page of the demo, from small runs of the programs that it shows.
function(run)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${SCRATCH} OUTPUT_VARIABLE out
    COMMAND_ERROR_IS_FATAL ANY)
  set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
set(job --pipelines 2 --stages 2 --microbatches 2 --width 8 --hidden 8 --batch 4)
run(${PROGRAMS}/train_through_failures ${job} --iterations 4 --kill 1:1@1 --out train)
run(${PROGRAMS}/train_through_failures ${job} --compare-schedules --kill 1:1@1 --op-ms 1 --out
  schedules)
run(${PROGRAMS}/adaptive_experts --iterations 3 --ranks 2 --experts 2 --slots-per-rank 2 --tokens 16
  --out experts)
file(WRITE ${SCRATCH}/experts.txt "${out}")
run(${PROGRAMS}/reproduce_papers --traces ${DATA}/failures --svg throughput.svg --seeds 1
  --iterations 12 --svg-loss time_to_loss.svg)
run(${PROGRAMS}/demo_report .)

file(READ ${SCRATCH}/report.html page)
string(REGEX MATCHALL "<svg" pictures "${page}")
list(LENGTH pictures count)
if(count LESS 20 OR NOT page MATCHES "are the same, to the last bit" OR NOT page MATCHES "sNG")
  message(FATAL_ERROR "report.html has ${count} pictures")
endif()

execute_process(COMMAND ${PROGRAMS}/demo_report nowhere WORKING_DIRECTORY ${SCRATCH} RESULT_VARIABLE
  status ERROR_VARIABLE err)
if(NOT status EQUAL 2 OR NOT err MATCHES "^error: [^\n]*train.json: cannot be read\n$")
  message(FATAL_ERROR "demo_report nowhere: ${status}, ${err}")
endif()
