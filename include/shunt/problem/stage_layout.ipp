#pragma once
#include "shunt/problem/stage_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_CONSTEXPR stage_layout stage_layout::looped(std::int32_t chunks) {
  return {shape::looped, chunks};
}

SHUNT_CONSTEXPR stage_layout stage_layout::wave(std::int32_t chunks) {
  return {shape::wave, chunks};
}

SHUNT_CONSTEXPR stage_layout stage_layout::custom(std::vector<rank_id> ranks_of_workers) {
  stage_layout layout{shape::custom, 1};
  for (rank_id const r : ranks_of_workers)
    if (r.value() >= layout.ranks_)
      layout.ranks_ = std::min(r.value(), std::numeric_limits<std::int32_t>::max() - 1) + 1;
  layout.ranks_of_workers_ = std::move(ranks_of_workers);
  return layout;
}

SHUNT_CONSTEXPR stage_layout stage_layout::stage_major(std::int32_t pipelines,
                                                       std::int32_t stages) {
  std::int64_t const all = std::int64_t{std::max(0, pipelines)} * std::max(0, stages);
  if (all > std::numeric_limits<std::int32_t>::max())
    throw invalid_problem("layout", "pipelines x stages is beyond 32 bits");
  std::vector<rank_id> ranks;
  ranks.reserve(static_cast<std::size_t>(all));
  for (std::int32_t p = 0; p < pipelines; ++p)
    for (std::int32_t s = 0; s < stages; ++s) ranks.push_back(s * pipelines + p);
  return custom(std::move(ranks));
}

SHUNT_CONSTEXPR std::vector<rank_id> const& stage_layout::ranks_of_workers() const {
  return ranks_of_workers_;
}

SHUNT_CONSTEXPR std::int32_t stage_layout::ranks(std::int32_t pipelines,
                                                 std::int32_t stages) const {
  switch (form_) {
    case shape::bidirectional: return pipelines / 2 * stages;
    case shape::custom: return ranks_;
    default: return pipelines * (stages / chunks_);
  }
}

SHUNT_CONSTEXPR rank_id stage_layout::rank_of(worker w, std::int32_t stages) const {
  std::int32_t const p = w.pipeline.value(), s = w.stage.value();
  switch (form_) {
    case shape::linear: return p * stages + s;
    case shape::looped: return p * (stages / chunks_) + s % (stages / chunks_);
    case shape::wave: {
      std::int32_t const length = stages / chunks_, at = s % length;
      return p * length + (s / length % 2 == 0 ? at : length - 1 - at);
    }
    case shape::bidirectional: return p / 2 * stages + (p % 2 == 0 ? s : stages - 1 - s);
    case shape::custom:
      return ranks_of_workers_[static_cast<std::size_t>(p) * static_cast<std::size_t>(stages) +
                               static_cast<std::size_t>(s)];
  }
  return -1;
}

SHUNT_CONSTEXPR std::vector<worker> stage_layout::workers_of(rank_id r, std::int32_t pipelines,
                                                             std::int32_t stages) const {
  std::vector<worker> held;
  std::int32_t first = 0, last = pipelines;
  if (form_ != shape::custom) {
    std::int32_t const length = stages / chunks_, share = form_ == shape::bidirectional ? 2 : 1;
    first = r.value() / length * share;
    last = first + share;
  }
  for (std::int32_t p = first; p < last; ++p)
    for (std::int32_t s = 0; s < stages; ++s)
      if (rank_of({p, s}, stages) == r) held.push_back({p, s});
  return held;
}

SHUNT_CONSTEXPR void validate(stage_layout const& layout, std::int32_t pipelines,
                              std::int32_t stages) {
  auto const refuse = [](std::string const& why) { throw invalid_problem("layout", why); };
  if (layout.chunks() < 1)
    refuse("must have at least 1 chunk a rank, has " + std::to_string(layout.chunks()));
  if (stages % layout.chunks() != 0)
    refuse(std::to_string(stages) + " stages don't divide into " + std::to_string(layout.chunks()) +
           " chunks a rank");
  if (layout.form() == stage_layout::shape::bidirectional && pipelines % 2 != 0)
    refuse("is bidirectional and needs an even number of pipelines, has " +
           std::to_string(pipelines));
  if (layout.form() != stage_layout::shape::custom) return;
  auto const& ranks_of_workers = layout.ranks_of_workers();
  if (ranks_of_workers.size() !=
      static_cast<std::size_t>(pipelines) * static_cast<std::size_t>(stages))
    refuse("has " + std::to_string(ranks_of_workers.size()) + " seats for " +
           std::to_string(pipelines) + " pipelines x " + std::to_string(stages) + " stages");
  std::int32_t const ranks = layout.ranks(pipelines, stages);
  if (static_cast<std::size_t>(ranks) > ranks_of_workers.size())
    refuse("names rank " +
           std::to_string(
               std::max_element(ranks_of_workers.begin(), ranks_of_workers.end())->value()) +
           ", more than there are seats");
  std::vector<char> has_worker(static_cast<std::size_t>(ranks), 0);
  for (std::size_t i = 0; i < ranks_of_workers.size(); ++i) {
    if (ranks_of_workers[i] < 0)
      refuse("seat " + std::to_string(i) + " names rank " +
             std::to_string(ranks_of_workers[i].value()));
    has_worker[ranks_of_workers[i].index()] = 1;
  }
  for (std::size_t r = 0; r < has_worker.size(); ++r)
    if (!has_worker[r]) refuse("rank " + std::to_string(r) + " has no seat");
}

}  // namespace shunt
