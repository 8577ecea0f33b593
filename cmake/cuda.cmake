# shunt_enable_cuda(<part>): enables nvcc as the CUDA compiler in the calling directory, or says in
# one line that <part> does without. CMAKE_CUDA_COMPILER_LOADED says which.
macro(shunt_enable_cuda part)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_NVCC_EXECUTABLE)
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "CUDA compiler")
    enable_language(CUDA)
  else()
    message(STATUS "shunt: ${part} without nvcc (not found)")
  endif()
endmacro()
