# shunt_enable_cuda(<who>): enables nvcc as the CUDA compiler in the calling directory, or says in one
# line that <who> does without. CMAKE_CUDA_COMPILER_LOADED says which.
macro(shunt_enable_cuda who)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_NVCC_EXECUTABLE)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "CUDA compiler")
    enable_language(CUDA)
  else()
    message(STATUS "shunt: ${who} without nvcc (not found)")
  endif()
endmacro()
