#pragma once
#include "shunt/train/stage_table.hpp"

#include "shunt/core/units.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/train/aligned_bytes.hpp"

namespace shunt {

SHUNT_INLINE void stage_table::add(stage_id s, stage_sizes const& of) {
  constexpr std::int64_t most = std::int64_t{1} << 48;
  for (auto const& [what, size] : {std::pair{"parameters", of.parameters},
                                   std::pair{"output", of.output}, std::pair{"stash", of.stash}})
    if (size < 0 || size > most)
      throw invalid_problem("sizes of stage " + std::to_string(s.value()),
                            std::string(what) + " must be between 0 and 2^48, is " +
                                std::to_string(size));
  sizes.push_back(of);
}

SHUNT_INLINE pipeline_tensors stage_table::tensors(pipeline_training const& training,
                                                   std::int64_t moments) const {
  std::vector<ticks> activation, stash, gradient, state, sums(sizes.size(), 0);
  auto const bytes = static_cast<byte_count>(sizeof(float));
  for (stage_sizes const& of : sizes) {
    activation.push_back(of.output * bytes);
    stash.push_back(of.stash * bytes);
    gradient.push_back(of.parameters * size_of(training.gradient_type));
    state.push_back((1 + moments) * aligned(of.parameters * bytes));
  }
  if (training.only) sums.back() = training.job.total_microbatches();  // the losses
  return {.activation = per_stage(std::move(activation)),
          .stash = per_stage(std::move(stash)),
          .gradient = per_stage(std::move(gradient)),
          .state = per_stage(std::move(state)),
          .sums = per_stage(std::move(sums)),
          .gradient_type = training.gradient_type};
}

SHUNT_INLINE program stage_table::persistent_buffers(pipeline_training const& training,
                                                     std::int64_t moments) const {
  program p;
  p.ranks.resize(static_cast<std::size_t>(training.job.ranks()));
  auto const all = tensors(training, moments);
  for (rank_id const r : ids<rank_id>(training.job.ranks()))
    for (auto const& s : stages_of(training.job, all, r)) {
      auto& declared = p.ranks[r].buffers;
      declared.resize(pipeline_buffers::kept(s.chunk).index() + 1);
      declared[s.state().buffer].size = s.state().size;
      declared[s.kept().buffer].size = s.kept().size;
    }
  return p;
}

}  // namespace shunt
