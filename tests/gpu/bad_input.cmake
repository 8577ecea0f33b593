# run.sh where something is wrong: one line says what, and the table so far stands. The machine and
# the packed programs are scripts in SCRATCH.
# cmake -D SCRATCH=<directory> -P bad_input.cmake
cmake_minimum_required(VERSION 3.25)
set(run ${CMAKE_CURRENT_LIST_DIR}/run.sh)
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})

# expect(<status> <pattern> <command>...): exit status, and what is printed matches as a whole.
function(expect status pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env "PATH=${SCRATCH}/machine:$ENV{PATH}" ${ARGN}
    RESULT_VARIABLE found OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT found EQUAL status OR NOT out MATCHES "^${pattern}$")
    string(JOIN " " command ${ARGN})
    message(SEND_ERROR "${command}\nexit status ${found}, wanted ${status}\n${out}\nwanted: \
${pattern}")
  endif()
endfunction()

# script(<path> <line>...): a program of the machine or of the packed tree.
function(script path)
  list(JOIN ARGN "\n" lines)
  file(WRITE ${SCRATCH}/${path} "#!/bin/sh\n${lines}\n")
  file(CHMOD ${SCRATCH}/${path} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
endfunction()

# pack
set(build ${SCRATCH}/build)
expect(2 "run.sh: no build in [^\n]*/build: cmake --workflow --preset cuda-release\n"
  bash ${run} pack ${build} ${SCRATCH}/to)
file(WRITE ${build}/CMakeCache.txt "CMAKE_BUILD_TYPE:STRING=Release\n")
expect(2 "run.sh: [^\n]*/build is built without CUDA\n" bash ${run} pack ${build} ${SCRATCH}/to)
file(WRITE ${build}/CMakeCache.txt "CMAKE_CUDA_ARCHITECTURES:STRING=80\n")
expect(2 "run.sh: [^\n]*/build is built for architecture 80, not 90\n"
  bash ${run} pack ${build} ${SCRATCH}/to)
expect(2 "(pack: no [^\n]*\n)+run.sh: no tests/test.gpu in [^\n]*: its build isn't complete\n"
  bash ${run} pack ${build} ${SCRATCH}/to 80)

# round: arguments and the tree
set(tree ${SCRATCH}/tree)
set(round bash ${tree}/run.sh round)
file(COPY ${run} DESTINATION ${tree})
expect(2 "run.sh: SECONDS must be a number, is 'soon'\n" ${round} soon)
expect(2 "run.sh: 5 s are too few for anything\n" ${round} 5)
expect(2 "run.sh: [^\n]*/tree is no packed tree: run.sh pack\n" ${round} 60)
foreach(program IN ITEMS test.gpu test.gpu_nccl)
  script(tree/bin/${program}
    "if [ $1 = --gtest_list_tests ]; then echo a_on_one_device.; echo '  b'; exit; fi"
    "if [ -n \"$why\" ]; then echo '[  SKIPPED ] a.b'; echo \"$why\"; fi")
endforeach()
foreach(program IN ITEMS train_through_failures adaptive_experts)
  script(tree/bin/${program} "if [ -n \"$why\" ]; then echo \"error: engine: $why\"; exit 2; fi")
endforeach()
foreach(name IN ITEMS bandwidth placement executors)
  script(tree/bin/benchmark.gpu_${name} "exit 0")
endforeach()
file(WRITE ${tree}/built "0123\nriscv64\n90\n")
script(machine/uname "echo aarch64")
expect(2 "run.sh: [^\n]*/tree is packed for riscv64, this is aarch64\n" ${round} 60)
file(WRITE ${tree}/built "0123\n90\n")
expect(2 "run.sh: [^\n]*/tree/built is not what this run.sh packs\n" ${round} 60)
file(WRITE ${tree}/built "0123\naarch64\n90\n")

# round: the machine
foreach(tool IN ITEMS ldd compute-sanitizer)
  script(machine/${tool} "exit 0")
endforeach()
set(machine "== machine\ndevice: [^\n]*\ncommit 0123, built for 90\n[^\n]*UTC[^\n]*\n")
set(targets "== targets\n([^\n]*: not run\n)+")
function(expect_skips why device)
  script(machine/nvidia-smi "${device}")
  expect(0 "${machine}== kernels, streams and graphs\n\
skipped +[0-9.]+  a_on_one_device.b: ${why}\n.*\
train_through_failures cuda, kills and a join: ${why}\n.*${targets}\
== 0 passed, 0 failed, 12 skipped, 0 without time, [0-9]+ s\n"
    ${CMAKE_COMMAND} -E env "why=${why}" ${round} 60)
endfunction()
expect_skips("there is no CUDA driver" "exit 1")
expect_skips("the driver is for CUDA up to 12.4, too old for this program's runtime 13.0"
  "echo 'NVIDIA H200, 9.0, 550.1, 143771 MiB'")

script(machine/nvidia-smi "echo 'NVIDIA A100, 8.0, 580.1, 81920 MiB'")
expect(2 "${machine}== nothing can run: the device's architecture is 80, the programs' 90\n"
  ${round} 60)

script(machine/nvidia-smi "exit 1")
script(machine/ldd "case $1 in *train*) echo '  libcublasLt.so.13 => not found';; esac")
expect(0 "${machine}skipped: train_through_failures, as libcublasLt.so.13 is missing\n\
== kernels, streams and graphs\nok .*adaptive_experts cuda-graphs, lost ranks\n.*${targets}\
== 8 passed, 0 failed, 4 skipped, 0 without time, [0-9]+ s\n" ${round} 60)

script(machine/ldd "exit 0")
expect(0 "${machine}== kernels, streams and graphs\n\
no time +-  a_on_one_device.b, and all that follows\n== training\n\
== NCCL on one device\n${targets}\
== 0 passed, 0 failed, 0 skipped, 12 without time, [0-9]+ s\n"
  ${CMAKE_COMMAND} -E env SECONDS=58 ${round} 60)
