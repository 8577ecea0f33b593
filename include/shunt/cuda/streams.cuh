#pragma once
#include "shunt/cuda/kernels.cuh"
#include "shunt/cuda/system.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_system.hpp"

namespace shunt {

/// The executors of execute/stream_executors.hpp on a CUDA device:
/// `cuda_system gpu; auto const done = stream_executor{.system = &gpu}.run(program, work);`
using cuda_system = basic_cuda_system<cuda_kernels>;

static_assert(calling_stream_system<cuda_system> && graph_system<cuda_system>);

}  // namespace shunt
