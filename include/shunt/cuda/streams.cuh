#pragma once
/// A CUDA device as the system of stream_executor and graph_executor.
#include "shunt/cuda/kernels.cuh"
#include "shunt/cuda/system.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_system.hpp"

namespace shunt {

/// The stream system of one CUDA device:
/// `cuda_system gpu; auto const done = stream_executor{.system = &gpu}.run(program, work);`
using cuda_system = basic_cuda_system<cuda_kernels>;

static_assert(calling_stream_system<cuda_system> && graph_system<cuda_system>);

}  // namespace shunt
