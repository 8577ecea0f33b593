#pragma once
/// What a training comes to without failures, and where a run through failures differs from it.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/train/pipeline_run.hpp"

namespace shunt {

/// Returns the FNV-1a hash (Fowler, Noll and Vo) of the bytes of parameters, with 64 bits: one
/// number to compare where parameters are far apart.
[[nodiscard]] std::uint64_t hash_of(std::span<float const> parameters);
/// Returns that of the hashes of all stages, in order.
[[nodiscard]] std::uint64_t hash_of(std::span<std::uint64_t const> stages);

/// Losses by iteration, and the hash of each stage's parameters.
struct undisturbed_training {
  std::vector<double> losses{};
  std::vector<std::uint64_t> hashes{};
};

/// Trains all iterations by train_without_failures.
/// Throws what that throws.
template <pipeline_trainee Work, class Executor>
undisturbed_training train_undisturbed(Work& work, Executor const& executor) {
  undisturbed_training all{.losses = train_without_failures(work, executor)};
  auto const& job = work.training().job;
  for (stage_id const s : ids<stage_id>(job.stages))
    all.hashes.push_back(hash_of(work.parameters(job.rank_of({0, s}), s)));
  return all;
}

/// Hashes of the parameters that ranks hold in the end.
using held_hashes = std::map<rank_id, std::map<stage_id, std::uint64_t>>;

/// Returns, in a line, what differs from the undisturbed training: parameters, the number of
/// iterations, or a loss; nothing where all is the same to the last bit.
[[nodiscard]] std::optional<std::string> difference(std::span<trained_iteration const> iterations,
                                                    held_hashes const& hashes,
                                                    undisturbed_training const& undisturbed,
                                                    pipeline_job const& job);

/// The iteration whose losses differ most, relative to the expected one.
struct loss_difference {
  std::size_t iteration = 0;
  double relative = 0;
};
/// Returns it; the first iteration whose difference is no number, where there is one. Of lists of
/// different lengths the common beginning counts.
[[nodiscard]] loss_difference largest_difference(std::span<double const> found,
                                                 std::span<double const> expected);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/undisturbed.ipp"
#endif
