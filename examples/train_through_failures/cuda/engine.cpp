// --engine cuda, where there is CUDA.
#include <iostream>

#include "../engines.hpp"
#include "../on_device.hpp"
#include "kernels.hpp"
#include "shunt/core/error.hpp"
#include "shunt/cuda/device.hpp"

namespace example {

int train_on_cuda(options const& o) {
  auto const gpu = shunt::first_cuda_device(80);
  refuse_if(!gpu, "engine", gpu.reason);
  shunt::cuda_training_device<nvcc_kernels> device(*gpu.device);
  return train_on_device(o, device, std::cout);
}

}  // namespace example
