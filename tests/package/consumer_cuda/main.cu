#include <cstdio>
#include <shunt/cuda/buffer.hpp>
#include <shunt/cuda/device.hpp>
#include <shunt/cuda/kernels.cuh>
#include <shunt/cuda/stream.hpp>

int main() {
  auto const gpu = shunt::first_cuda_device();
  if (!gpu) {
    std::printf("nothing to run on: %s\n", gpu.reason.c_str());
    return gpu.reason.empty() ? 1 : 0;
  }
  shunt::cuda_stream const stream;
  shunt::cuda_buffer const from(24, shunt::cuda_memory::managed),
      to(24, shunt::cuda_memory::managed);
  from.as<std::int64_t>()[0] = 16;
  from.as<std::int64_t>()[2] = 7;
  shunt::stream_part const part{.from = from.data() + 8,
                                .to = to.data() + 8,
                                .bytes = 16,
                                .count = from.as<std::int64_t>().data(),
                                .count_to = to.as<std::int64_t>().data()};
  shunt::cuda_kernels::move(stream.get(), {&part, 1}, nullptr);
  stream.synchronize();
  return to.as<std::int64_t>()[2] == 7 ? 0 : 1;
}
