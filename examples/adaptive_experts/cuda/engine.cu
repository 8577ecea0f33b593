// --engine cuda, where there is CUDA.
#define EIGEN_NO_CUDA  // matrices of the host are the host's alone
#include "../engines.hpp"
#include "../streams/model.hpp"
#include "device.cuh"
#include "shunt/core/error.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/execute/stream_executors.hpp"

namespace example {

policy_run train_on_gpu(options const& o, std::string const& name, text_bytes const& text,
                        std::vector<shunt::failure_point> const& failures, listener const& say) {
  auto const gpu = shunt::first_cuda_device(80);
  if (!gpu) throw shunt::invalid_problem("engine", gpu.reason);
  using work = moe::stream_work<moe::cuda_device>;
  moe::cuda_device device(*gpu.device);
  if (o.engine == "cuda-graphs")
    return train_here<work>(
        o.setup, name, text,
        shunt::graph_executor<moe::cuda_device::system>{&device.streams(), failures}, say, device);
  return train_here<work>(
      o.setup, name, text,
      shunt::stream_executor<moe::cuda_device::system>{&device.streams(), failures}, say, device);
}

}  // namespace example
