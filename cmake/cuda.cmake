# shunt_enable_cuda(<what>)
# Enables CUDA with the toolkit's nvcc; CMAKE_CUDA_COMPILER_LOADED says whether it is there. Where
# it is not, one line says that <what> is off. A macro: enable_language may not stand in a function.
macro(shunt_enable_cuda what)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_NVCC_EXECUTABLE)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "CUDA compiler")
    enable_language(CUDA)
  else()
    message(STATUS "shunt: ${what} off (no nvcc)")
  endif()
endmacro()
