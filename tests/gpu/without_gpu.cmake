# The example programs with an engine on a GPU, where no GPU can be seen: one clear line and exit
# status 2.
# cmake -D PROGRAMS=<directory> -P without_gpu.cmake
cmake_minimum_required(VERSION 3.25)
set(ENV{CUDA_VISIBLE_DEVICES} "")

foreach(program IN ITEMS train_through_failures adaptive_experts)
  foreach(engine IN ITEMS cuda cuda-graphs)
    execute_process(COMMAND ${PROGRAMS}/${program} --engine ${engine} RESULT_VARIABLE status
      OUTPUT_VARIABLE out ERROR_VARIABLE err)
    if(NOT status EQUAL 2 OR NOT out STREQUAL "" OR NOT err MATCHES
      "^error: engine: there is no CUDA (driver|device)\n$")
      message(SEND_ERROR "${program} --engine ${engine}\nstatus ${status}\nout: ${out}\nerr: \
${err}")
    endif()
  endforeach()
endforeach()
