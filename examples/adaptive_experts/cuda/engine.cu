// --engine cuda, where there is CUDA.
#define EIGEN_NO_CUDA  // matrices of the host are the host's alone
#include "../engines.hpp"
#include "../streams/model.hpp"
#include "shunt/core/error.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/training_device.hpp"
#include "shunt/cuda/training_kernels.cuh"
#include "shunt/execute/stream_executors.hpp"

namespace example {

using gpu_device = shunt::cuda_training_device<shunt::training_kernels>;
static_assert(moe::device<gpu_device>);

policy_run train_on_gpu(options const& o, std::string const& name, text_bytes const& text,
                        std::vector<shunt::failure_point> const& failures, listener const& say) {
  auto const gpu = shunt::first_cuda_device(80);
  if (!gpu) throw shunt::invalid_problem("engine", gpu.reason);
  using work = moe::stream_work<gpu_device>;
  gpu_device device(*gpu.device);
  if (o.engine == "cuda-graphs")
    return train_here<work>(o.setup, name, text,
                            shunt::graph_executor<gpu_device::system>{&device.streams(), failures},
                            say, device);
  return train_here<work>(o.setup, name, text,
                          shunt::stream_executor<gpu_device::system>{&device.streams(), failures},
                          say, device);
}

}  // namespace example
