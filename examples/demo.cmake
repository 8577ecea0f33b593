# Runs the example programs and leaves what they write in OUT: cmake -D PROGRAMS=... -D SOURCE=... -D OUT=... -P demo.cmake
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${OUT})
file(MAKE_DIRECTORY ${OUT})

# step(<title> [TO <file>] <program> <argument>...)
# Runs a program in OUT; what it prints goes to the terminal, or to a file of OUT. Stops the demo where the program fails.
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

message("The demo's files are in ${OUT}")
