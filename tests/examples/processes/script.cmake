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
    SHUNT_RENDEZVOUS SHUNT_INTERFACE SHUNT_JOIN)
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
