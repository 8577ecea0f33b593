// The kernels of --engine cuda: those of the library's streams, and what the model computes between
// its products.
#include <tuple>

#include "kernels.hpp"
#include "model_kernels.hpp"
#include "shunt/cuda/training_kernels.cuh"
#include "shunt/device/adam_step.hpp"
#include "shunt/train/step_kernels.hpp"

namespace example {

using all = shunt::training_kernels;

void nvcc_kernels::move(cudaStream_t on, std::span<shunt::stream_part const> parts,
                        std::int64_t const* guard) {
  all::move(on, parts, guard);
}
void nvcc_kernels::fold(cudaStream_t on, shunt::element type, shunt::reduction how,
                        std::span<std::byte const* const> sources,
                        std::span<std::byte* const> targets, std::size_t size,
                        std::int64_t const* guard) {
  all::fold(on, type, how, sources, targets, size, guard);
}
void nvcc_kernels::fill(cudaStream_t on, std::span<std::byte> target, std::int64_t const* guard) {
  all::fill(on, target, guard);
}

template <class Items>
void nvcc_kernels::launch(shunt::cuda_stream_ref on, std::int64_t n, Items const& f,
                          std::int64_t const* condition) {
  all::launch(on, n, f, condition);
}

/// Writes a launcher for each of these.
template <class... Items>
struct launchers {
  static inline auto const of = std::tuple(&nvcc_kernels::launch<Items>...);
};
template struct launchers<
    choose_windows, embed_windows, store_product, predict_bytes, mean_loss, sum_columns,
    sum_embeddings, inject_bad_gradient, shunt::note_loss, shunt::accumulate_gradient,
    shunt::square_gradient, shunt::sum_neighbours<std::int64_t>, shunt::sum_neighbours<double>,
    shunt::raise_flag, shunt::note_norms, shunt::decide_step, shunt::decide_validated_step,
    shunt::check_step, shunt::decide_redo_step, shunt::adam_step<std::int64_t>>;

}  // namespace example
