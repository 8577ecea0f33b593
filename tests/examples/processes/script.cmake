# For scripts that run example programs with worker processes: a place of their own among the
# temporary files of SCRATCH, no launcher, a text to train on, and what is asked of each run, whose
# result stands in status, out and err.

# Gloo is not built for ThreadSanitizer, where that is what runs
set(ENV{TSAN_OPTIONS} ignore_noninstrumented_modules=1)
set(place ${SCRATCH}/tmp)
file(GLOB earlier ${SCRATCH}/*.txt) # what an earlier run of the test said
file(REMOVE_RECURSE ${place} ${earlier})
file(MAKE_DIRECTORY ${place})
set(ENV{TMPDIR} ${place})
foreach(variable IN ITEMS RANK WORLD_SIZE OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE PMI_RANK
  PMI_SIZE SLURM_PROCID SLURM_NTASKS
    SHUNT_RENDEZVOUS SHUNT_RENDEZVOUS_KEY SHUNT_INTERFACE SHUNT_JOIN MASTER_ADDR MASTER_PORT
    TORCHELASTIC_RUN_ID TORCHELASTIC_USE_AGENT_STORE)
  unset(ENV{${variable}})
endforeach()
string(REPEAT "for (auto const r : ranks) sum += r; // and so on, 2718281828\n" 200 lines)
file(WRITE ${SCRATCH}/text.txt "${lines}")

function(fail why)
  message(SEND_ERROR "${why}\nstatus ${status}\nout: ${out}\nerr: ${err}")
endfunction()

macro(shell script)
  execute_process(COMMAND sh -c "${script}" WORKING_DIRECTORY ${SCRATCH} RESULT_VARIABLE status
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
endmacro()

# Sets `port` to one of TCP that no process listens at.
macro(find_free_port)
  set(port "")
  while(port STREQUAL "")
    string(RANDOM LENGTH 4 ALPHABET 0123456789 port)
    math(EXPR port "20000 + 1${port} % 10000")
    math(EXPR hexadecimal "${port}" OUTPUT_FORMAT HEXADECIMAL)
    string(SUBSTRING ${hexadecimal} 2 -1 hexadecimal)
    string(TOUPPER ${hexadecimal} hexadecimal)
    file(GLOB tables /proc/net/tcp /proc/net/tcp6)
    foreach(table IN LISTS tables)
      file(READ ${table} sockets)
      if(sockets MATCHES ":${hexadecimal} ")
        set(port "")
      endif()
    endforeach()
  endwhile()
endmacro()

function(nothing_is_left where)
  file(GLOB files ${where}/*)
  if(files)
    fail("left behind: ${files}")
  endif()
  execute_process(COMMAND pgrep -f "as-worker.*${SCRATCH}" OUTPUT_VARIABLE processes ERROR_QUIET)
  if(processes)
    fail("left running: ${processes}")
  endif()
endfunction()

# says(<pattern>...): all of these were said.
function(says)
  foreach(pattern IN LISTS ARGN)
    if(NOT out MATCHES "${pattern}")
      fail("no ${pattern}")
    endif()
  endforeach()
endfunction()
