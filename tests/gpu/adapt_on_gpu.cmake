# adaptive_experts on a GPU: losses are near the host's, and the same bits wherever experts are and
# whoever is lost. Skipped where there is no GPU.
# cmake -D PROGRAMS=<directory> -P adapt_on_gpu.cmake
cmake_minimum_required(VERSION 3.25)

# trains(<pattern> <argument>...): exit status 0, and what it prints matches.
function(trains pattern)
  execute_process(COMMAND ${PROGRAMS}/adaptive_experts --tokens 64 ${ARGN} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(status EQUAL 2 AND err MATCHES "^error: engine: (there is no CUDA|no CUDA device|the driver)")
    message("skipped: ${err}")
    set(skipped ON PARENT_SCOPE)
    return()
  endif()
  string(JOIN " " command ${ARGN})
  if(NOT status EQUAL 0 OR NOT out MATCHES "${pattern}")
    message(SEND_ERROR "${command}\nstatus ${status}\nout: ${out}\nerr: ${err}")
  else()
    message("${command}\n${out}")
  endif()
endfunction()

foreach(engine IN ITEMS cuda cuda-graphs)
  trains("\nnear the host's losses: swift_moe [^\n]+\nnear the host's losses: uniform [^\n]+\n"
    --engine ${engine} --iterations 12)
  if(skipped)
    return()
  endif()
  trains("\nidentical: 8 losses and [0-9]+ parameters of random, swift_moe and uniform\n$" --engine
    ${engine} --iterations 8 --dropless
    --policy random,swift_moe,uniform)
  trains("\nidentical: 8 losses and [0-9]+ parameters of swift_moe and swift_moe without losses\n$"
    --engine ${engine} --iterations 8
    --policy swift_moe --shards mirrored --kill 3@2,4@4,0@5)
endforeach()
