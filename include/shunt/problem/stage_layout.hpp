#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// A worker: the pair of a pipeline and a stage. A rank runs one or more workers.
struct worker {
  pipeline_id pipeline{};
  stage_id stage{};

  constexpr auto operator<=>(worker const&) const = default;
  constexpr bool operator==(worker const&) const = default;
};

/// Maps workers to ranks. A rank with several stages of a pipeline holds several chunks of the
/// model. All workers of a stage hold the same parameters. With P ranks per pipeline of S stages:
///
///  * linear: P = S, stage s on rank s of its pipeline.
///  * looped(v): P = S / v, stage s on rank s mod P (interleaved 1F1B).
///  * wave(v): P = S / v, back and forth: 0 .. P-1, P-1 .. 0, ... (Hanayo; v = 2 is the V of ZB-V
///    and DualPipeV).
///  * bidirectional: P = S, pipelines 2k and 2k+1 share their ranks, and the second one runs from
///    the last rank to the first (Chimera, DualPipe: two replicas of the model).
///  * custom: any rank for each worker.
class stage_layout {
 public:
  enum class shape : std::uint8_t { linear, looped, wave, bidirectional, custom };

  [[nodiscard]] static constexpr stage_layout linear() { return {}; }
  [[nodiscard]] static constexpr stage_layout looped(std::int32_t chunks) {
    return {shape::looped, chunks};
  }
  [[nodiscard]] static constexpr stage_layout wave(std::int32_t chunks) {
    return {shape::wave, chunks};
  }
  [[nodiscard]] static constexpr stage_layout v_shaped() { return wave(2); }
  [[nodiscard]] static constexpr stage_layout bidirectional() { return {shape::bidirectional, 1}; }
  /// `ranks_of_workers[p * S + s]` is the rank of stage s of pipeline p. Every rank from 0 to the
  /// largest has a worker.
  [[nodiscard]] static constexpr stage_layout custom(std::vector<rank_id> ranks_of_workers) {
    stage_layout layout{shape::custom, 1};
    for (rank_id const r : ranks_of_workers)
      if (r.value() >= layout.ranks_)
        layout.ranks_ = std::min(r.value(), std::numeric_limits<std::int32_t>::max() - 1) + 1;
    layout.ranks_of_workers_ = std::move(ranks_of_workers);
    return layout;
  }

  [[nodiscard]] friend constexpr std::string_view to_string(shape s) {
    switch (s) {
      case shape::linear: return "linear";
      case shape::looped: return "looped";
      case shape::wave: return "wave";
      case shape::bidirectional: return "bidirectional";
      case shape::custom: return "custom";
    }
    return "unknown";
  }

  [[nodiscard]] constexpr shape form() const { return form_; }
  /// Stages of a pipeline on each of its ranks. 1 for custom layouts, which may be uneven.
  [[nodiscard]] constexpr std::int32_t chunks() const { return chunks_; }
  [[nodiscard]] constexpr std::vector<rank_id> const& ranks_of_workers() const {
    return ranks_of_workers_;
  }

  [[nodiscard]] constexpr std::int32_t ranks(std::int32_t pipelines, std::int32_t stages) const {
    switch (form_) {
      case shape::bidirectional: return pipelines / 2 * stages;
      case shape::custom: return ranks_;
      default: return pipelines * (stages / chunks_);
    }
  }
  [[nodiscard]] constexpr rank_id rank_of(worker w, std::int32_t stages) const {
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
  /// Returns the workers of a rank, by pipeline and then by stage.
  [[nodiscard]] constexpr std::vector<worker> workers_of(rank_id r, std::int32_t pipelines,
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

  constexpr bool operator==(stage_layout const&) const = default;

 private:
  constexpr stage_layout() = default;
  constexpr stage_layout(shape form, std::int32_t chunks) : form_(form), chunks_(chunks) {}

  shape form_ = shape::linear;
  std::int32_t chunks_ = 1;
  std::int32_t ranks_ = 0;
  std::vector<rank_id> ranks_of_workers_{};
};

/// Throws invalid_problem, which names `layout`, where the layout doesn't fit D pipelines of S
/// stages: no chunk, stages that aren't a multiple of the chunks, an odd number of pipelines under
/// a bidirectional layout, or a custom layout with another number of workers, a negative rank or a
/// rank without a worker.
constexpr void validate(stage_layout const& layout, std::int32_t pipelines, std::int32_t stages) {
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
