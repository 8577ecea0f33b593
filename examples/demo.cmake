# Runs the example programs and leaves what they write in OUT:
# cmake -D PROGRAMS=... -D SOURCE=... -D OUT=... -P demo.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${OUT})
file(MAKE_DIRECTORY ${OUT})

# step(<title> [TO <file>] <program> <argument>...)
# Runs a program in OUT; what it prints goes to the terminal, or to a file of OUT. Stops the demo
# where the program fails.
function(step title)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TO" "")
  list(POP_FRONT arg_UNPARSED_ARGUMENTS program)
  message("== ${title}")
  set(output)
  if(arg_TO)
    set(output OUTPUT_FILE ${arg_TO})
  endif()
  execute_process(COMMAND ${PROGRAMS}/${program} ${arg_UNPARSED_ARGUMENTS} ${output}
    WORKING_DIRECTORY ${OUT} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

step("Three pipelines of four stages; 1:2 and 0:1 fall silent, 1:2 comes back"
  train_through_failures --iterations 24 --kill 1:2@6,0:1@12 --join 1:2@18 --op-ms 5 --out train)
step("What each part of SlipStream buys: predicted and measured periods"
  train_through_failures --compare-schedules --op-ms 10 --out schedules)
step("Sixteen experts on sixteen ranks, placed by swift_moe and by uniform (into experts.txt)"
  TO experts.txt adaptive_experts --trace loads.csv --out experts)
step("The two planners for the shell (into slipstream.txt, then placement.json)"
  TO slipstream.txt plan_pipeline --pipelines 3 --stages 4 --microbatches 6 --step 3 --dead 1:2
  --solver slipstream --format text)
file(WRITE ${OUT}/skewed.csv "700,200,60,40\n")
step("The same for experts" TO placement.json place_experts --loads skewed.csv
  --ranks 4 --slots 8 --solver swift_moe)
step("The papers' comparisons: systems under failures, and systems of experts (into papers.txt)"
  TO papers.txt reproduce_papers --svg throughput.svg --seeds 1 --iterations 200
  --svg-loss time_to_loss.svg)
step("One page" demo_report .)
message("The demo's files are in ${OUT}")
