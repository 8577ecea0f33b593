#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt {

/// A worker: the pair of a pipeline and a stage. A rank runs one or more workers.
struct worker {
  pipeline_id pipeline{};
  stage_id stage{};

  auto operator<=>(worker const&) const = default;
  bool operator==(worker const&) const = default;
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
  [[nodiscard]] static SHUNT_CONSTEXPR stage_layout looped(std::int32_t chunks);
  [[nodiscard]] static SHUNT_CONSTEXPR stage_layout wave(std::int32_t chunks);
  [[nodiscard]] static SHUNT_CONSTEXPR stage_layout v_shaped() { return wave(2); }
  [[nodiscard]] static constexpr stage_layout bidirectional() { return {shape::bidirectional, 1}; }
  /// `ranks_of_workers[p * S + s]` is the rank of stage s of pipeline p. Every rank from 0 to the
  /// largest has a worker.
  [[nodiscard]] static SHUNT_CONSTEXPR stage_layout custom(std::vector<rank_id> ranks_of_workers);

  /// Returns a custom layout with one stage a rank, numbered stage by stage: s * D + p. So
  /// data-parallel peers have consecutive ranks, as Megatron numbers them.
  /// Throws invalid_problem, naming `layout`, where pipelines x stages is beyond 32 bits.
  [[nodiscard]] static SHUNT_CONSTEXPR stage_layout stage_major(std::int32_t pipelines,
                                                                std::int32_t stages);

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
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<rank_id> const& ranks_of_workers() const;

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks(std::int32_t pipelines,
                                                   std::int32_t stages) const;
  [[nodiscard]] SHUNT_CONSTEXPR rank_id rank_of(worker w, std::int32_t stages) const;
  /// Returns the workers of a rank, by pipeline and then by stage.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<worker> workers_of(rank_id r, std::int32_t pipelines,
                                                               std::int32_t stages) const;

  bool operator==(stage_layout const&) const = default;

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
SHUNT_CONSTEXPR void validate(stage_layout const& layout, std::int32_t pipelines,
                              std::int32_t stages);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/stage_layout.ipp"
#endif
