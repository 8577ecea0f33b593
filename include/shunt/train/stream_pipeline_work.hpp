#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/fixed_point.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/stage_table.hpp"
#include "shunt/train/step_kernels.hpp"
#include "shunt/train/stream_pipeline_model.hpp"

namespace shunt {

/// The pipeline_work of a model on the streams of one device, which all ranks share: the same
/// programs and rules. Every operation is a sequence of kernels, the same on every rank, so losses
/// are the same bits under every plan on the same device.
///
/// A rank computes on one lane, for its operations share scratch memory. All members but `buffer`
/// and the operations wait for the device where they have to, and must not be called while
/// something is enqueued or captured.
template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
class stream_pipeline_work {
 public:
  using stream_ref = typename Device::system::stream_ref;
  using overflow = step_overflow;

  /// Throws invalid_problem where pipeline_work does, where ranks are processes, gradients are not
  /// int64, or steps are to be reverted.
  stream_pipeline_work(Device& device, Model model, pipeline_training training,
                       adam const& optimizer = {});

  // as of pipeline_work

  [[nodiscard]] pipeline_tensors tensors() const { return stages_.tensors(training_, moments); }
  [[nodiscard]] pipeline_training const& training() const { return training_; }
  /// Throws invalid_program where a rank computes on two lanes.
  void fit(program const& p);
  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) {
    auto& own = ranks_[r.index()].buffers;
    return b.index() < own.size() ? own[b.index()].bytes() : std::span<std::byte>();
  }
  void operator()(rank_id r, stream_task const& t, stream_ref on);
  void restore(rank_id r, std::int64_t iteration);
  void replace(rank_id r, std::int64_t iteration);
  [[nodiscard]] double loss(std::int64_t iteration);
  [[nodiscard]] std::vector<float> parameters(rank_id r, stage_id s);
  [[nodiscard]] std::int64_t restored(rank_id r) const { return ranks_[r.index()].restored; }
  [[nodiscard]] step_outcome step_of(rank_id r, std::int64_t iteration);
  [[nodiscard]] std::optional<overflow> first_overflow();

 private:
  using memory = typename Device::system::memory;
  using buffers = pipeline_buffers;
  static constexpr std::int64_t moments = adam::moments;
  // Parts of a sum over all parameters, in two levels of neighbours.
  static constexpr std::int64_t neighbours = 64, lanes = neighbours * neighbours;

  struct held_stage {
    stage_id stage{};
    std::int32_t chunk = 0;
    memory notes, steps;
  };
  struct rank_state {
    std::vector<memory> buffers{};
    std::vector<held_stage> stages{};
    memory gradient;  // a micro-batch's, before it is rounded
    memory sums;      // those of lanes, of neighbours, and the whole
    memory scratch;   // the model's
    memory loss;      // of the micro-batch under way
    std::int64_t restored = 0;
  };

  [[nodiscard]] held_stage& held(rank_id r, stage_id s);
  [[nodiscard]] std::int64_t size_of_stage(stage_id s) const {
    return stages_.sizes[s.index()].parameters;
  }
  [[nodiscard]] std::int64_t terms() const { return training_.job.total_microbatches(); }
  template <class T>
  [[nodiscard]] T* at(rank_id r, region const& where) {
    return reinterpret_cast<T*>(buffer(r, where.buffer).data() + where.offset);
  }
  [[nodiscard]] std::span<float> floats(rank_id r, region const& where) {
    return {at<float>(r, where), static_cast<std::size_t>(where.size) / sizeof(float)};
  }
  [[nodiscard]] std::span<float> parameters_of(rank_id r, held_stage const& of) {
    return as<float>(buffer(r, buffers::state(of.chunk)))
        .first(static_cast<std::size_t>(size_of_stage(of.stage)));
  }
  [[nodiscard]] static step_notes* notes_of(held_stage& of) {
    return as<step_notes>(of.notes.bytes()).data();
  }
  [[nodiscard]] static step_outcome* steps_of(held_stage& of) {
    return as<step_outcome>(of.steps.bytes()).data();
  }
  [[nodiscard]] step_rule rule() const {
    return {training_.clip.value_or(0),
            {optimizer_.rate, optimizer_.beta1, optimizer_.beta2, optimizer_.epsilon}};
  }
  template <class T>
  [[nodiscard]] T load(memory& from, std::size_t index = 0);
  template <class T>
  void store(memory& to, T const& value);

  void backward_input(stream_place<Device> const& place, rank_id r, stream_task const& t,
                      backward_input_operands const& on, std::int64_t microbatch);
  void backward_weight(stream_place<Device> const& place, rank_id r, stream_task const& t,
                       backward_weight_operands const& on, std::int64_t microbatch);
  void gradient_norm(rank_id r, stream_task const& t, stream_ref on);
  void step(rank_id r, stream_task const& t, stream_ref on);
  // Enqueues the step that the notes order.
  void optimise(rank_id r, stream_task const& t, held_stage& of, region const& gradient,
                stream_ref on);
  // Returns where the sum of all lanes will stand.
  template <class T>
  [[nodiscard]] T const* summed(stream_ref on, T* of_lanes);

  Device& device_;
  Model const model_;
  pipeline_training const training_;
  adam const optimizer_;
  stage_table const stages_;
  memory losses_;  // iterations x micro-batches of all pipelines
  std::vector<rank_state> ranks_{};
};

}  // namespace shunt

#include "shunt/train/stream_pipeline_work.ipp"
