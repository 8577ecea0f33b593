# train_through_failures on a GPU: losses through failures are the same bits as without, and near
# the host's. Skipped where there is no GPU.
# cmake -D PROGRAMS=<directory> -P train_on_gpu.cmake
cmake_minimum_required(VERSION 3.25)

# trains(<losses> <argument>...): exit status 0, a line for every iteration, and the verdict.
function(trains losses)
  execute_process(COMMAND ${PROGRAMS}/train_through_failures ${ARGN} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(status EQUAL 2 AND err MATCHES "^error: engine: (there is no CUDA|no CUDA device|the driver)")
    message("skipped: ${err}")
    set(skipped ON PARENT_SCOPE)
    return()
  endif()
  string(REGEX MATCHALL "(^|\n)iteration [0-9]+ loss [0-9.e+-]+ live [0-9]+ planned " lines
    "${out}")
  list(LENGTH lines count)
  string(JOIN " " command ${ARGN})
  if(NOT status EQUAL 0 OR NOT count EQUAL losses OR NOT out MATCHES
    "\nidentical: ${losses} losses\nnear the host's losses: [^\n]+\n$")
    message(SEND_ERROR "${command}: ${count} iterations\nstatus ${status}\nout: ${out}\nerr: \
${err}")
  else()
    message("${command}\n${out}")
  endif()
endfunction()

foreach(engine IN ITEMS cuda cuda-graphs)
  trains(12 --engine ${engine} --kill 1:2@3,0:1@6 --join 1:2@8)
  if(skipped)
    return()
  endif()
  trains(10 --engine ${engine} --iterations 10 --clip 2 --inject-nan 2@3:4,0@5 --kill 1:2@3,0:1@6
    --join 1:2@8)
  trains(6 --engine ${engine} --iterations 6 --width 48 --hidden 200 --batch 20 --no-split
    --no-stagger --kill 0:2@2)
endforeach()
