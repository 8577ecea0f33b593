# train_through_failures on two hosts: two network namespaces with a cable between them and a
# directory that both see, or a port of one of them. A worker dies; then the cable is pulled.
# cmake -D PROGRAMS=<directory> -D SCRATCH=<directory> -P two_hosts.cmake
cmake_minimum_required(VERSION 3.25)
include(${CMAKE_CURRENT_LIST_DIR}/../support/program.cmake)

set(program ${PROGRAMS}/train_through_failures)
# Gloo is not built for ThreadSanitizer, where that is what runs
set(ENV{TSAN_OPTIONS} ignore_noninstrumented_modules=1)
execute_process(COMMAND ${program} --engine gloo --pipelines 1 --stages 1 --iterations 1
  OUTPUT_QUIET ERROR_VARIABLE err)
if(err MATCHES "this build has no Gloo")
  message(STATUS "skipped: ${err}")
  return()
endif()
execute_process(COMMAND unshare -rn sh -c
  "ip link set lo up && ip link add name here type veth peer name there && unshare -n true"
  RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE err)
if(NOT status EQUAL 0)
  message(STATUS "skipped: no network namespaces with a cable between them here: ${status} ${err}")
  return()
endif()
string(REPEAT "for (auto const r : ranks) sum += r; // and so on, 2718281828\n" 200 lines)
file(WRITE ${SCRATCH}/text.txt "${lines}")

# Pipeline 0 is on the one host, pipeline 1 on the other. SCENE runs on the first host when all have
# met in the directory, or AT_ONCE.
file(WRITE ${SCRATCH}/hosts.sh [[
cd "$(dirname "$0")" && rm -rf meet cable status.* out.* err.* || exit 9
ip link set lo up
workers() { # <interface> <rank>...
  on=$1; shift
  for r in $*; do
    (env $MEET RANK=$r WORLD_SIZE=4 SHUNT_INTERFACE=$on $PROGRAM --engine gloo \
      --pipelines 2 --stages 2 --width 16 --hidden 24 \
      --batch 8 --text text.txt $WORDS > out.$r 2> err.$r; echo $? > status.$r) 2> /dev/null &
  done
}
unshare -n sh -c "until [ -e cable ]; do sleep 0.05; done
  ip link set lo up && ip address add 10.9.8.2/24 dev there && ip link set there up || exit 9
  $(sed -n '/^workers()/,/^}/p' "$0")
  workers there 2 3; wait
  until [ -e status.0 ] && [ -e status.1 ]; do sleep 0.05; done # the cable goes with this host" &
other=$!
until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do
  kill -0 $other || exit 9
  sleep 0.05
done
ip link add name here type veth peer name there netns $other || exit 9
ip address add 10.9.8.1/24 dev here && ip link set here up || exit 9
touch cable
workers here 0 1
until [ $(ls meet/shunt 2> /dev/null | grep -c '^epoch0.ready') = 4 ] || [ -e status.0 ] ||
  [ "$AT_ONCE" ]; do
  sleep 0.02
done
eval "$SCENE"
wait
cat status.* | tr '\n' ' '
cat out.*
cat err.* >&2
]])

set(ENV{MEET} SHUNT_RENDEZVOUS=meet)
macro(hosts scene words)
  set(ENV{PROGRAM} ${program})
  set(ENV{SCENE} "${scene}")
  set(ENV{WORDS} "${words}")
  execute_process(COMMAND unshare -rn sh ${SCRATCH}/hosts.sh TIMEOUT 200 RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
endmacro()

hosts("true" "--iterations 8 --kill 1:0@3") # it may be an iteration ahead
if(NOT out MATCHES "^0 0 137 0 " OR NOT out MATCHES "worker 1:0 fell silent: iteration [23] "
  OR NOT out MATCHES "identical: 8 losses\n$")
  fail("two hosts")
endif()

# Without the directory.
set(ENV{MEET} "MASTER_ADDR=10.9.8.1 MASTER_PORT=29500 SHUNT_RENDEZVOUS_KEY=secret")
hosts("true" "--iterations 8 --kill 1:0@3")
if(NOT out MATCHES "^0 0 137 0 " OR NOT out MATCHES "worker 1:0 fell silent: iteration [23] "
  OR NOT out MATCHES "identical: 8 losses\n$")
  fail("two hosts without a directory")
endif()
set(ENV{AT_ONCE} yes)
hosts("sleep 3; ip link set here down"
  "--iterations 300 --op-ms 1 --timeout 700 --patience 3000")
unset(ENV{AT_ONCE})
if(NOT out MATCHES "^[012] [012] [012] [012] " OR NOT err MATCHES "^((error|stopped): [^\n]+\n)+$"
  OR out MATCHES "has loss|parameters differ")
  fail("the cable is pulled, without a directory")
endif()
set(ENV{MEET} SHUNT_RENDEZVOUS=meet)

# Who signs in first goes on, alone or with others, and the rest are told so: everybody comes to an
# end.
hosts("ip link set here down" "--iterations 300 --timeout 700 --patience 5000")
if(NOT out MATCHES "^[012] [012] [012] [012] " OR NOT err MATCHES "^((error|stopped): [^\n]+\n)+$"
  OR out MATCHES "has loss|parameters differ")
  fail("the cable is pulled")
endif()
file(REMOVE_RECURSE ${SCRATCH}/meet)
