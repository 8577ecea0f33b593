#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
#include "shunt/execute/work.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/operands.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/stage_copies.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/aligned_bytes.hpp"
#include "shunt/train/gradient_sum.hpp"
#include "shunt/train/host_memory.hpp"
#include "shunt/train/optimizer.hpp"
#include "shunt/train/pipeline_model.hpp"
#include "shunt/train/pipeline_training.hpp"
#include "shunt/train/stage_table.hpp"

namespace shunt {

/// Makes any pipeline_model a `work`: the memory of every rank and what its operations compute.
/// Meant for programs of `lower` with `tensors()`, also validated and salvageable ones, on any
/// executor whose ranks compute on the host.
///
/// State of a stage: its parameters, then the optimizer's moments, all float.
///
/// With int64 gradients the losses and parameters are the same bits under every plan, through any
/// loss of ranks. A gradient that overflows or isn't finite leaves out the step of its stage, or of
/// all stages where steps are validated.
template <pipeline_model Model, optimizer Optimizer = adam>
class pipeline_work {
 public:
  using overflow = step_overflow;

  /// Throws invalid_problem where the training is broken, the model has other stages than the job
  /// or a negative size, or steps are to be reverted by an optimizer that can't.
  pipeline_work(Model model, pipeline_training training, Optimizer optimizer = {});

  /// Returns the sizes to lower programs with.
  [[nodiscard]] pipeline_tensors tensors() const {
    return stages_.tensors(training_, Optimizer::moments);
  }
  [[nodiscard]] pipeline_training const& training() const { return training_; }
  [[nodiscard]] Model const& model() const { return model_; }
  /// Makes room for the buffers of a program. Content stays. No session may be running.
  void fit(program const& p) { memory_.grow(p); }

  // the concept `restorable_work`

  [[nodiscard]] std::span<std::byte> buffer(rank_id r, buffer_id b) { return memory_(r, b); }
  /// Throws invalid_program for operations of other lowerings or other tensors, and what the model
  /// throws.
  void operator()(rank_id r, task const& t);
  /// Throws logic_error where the rank is more than one step ahead.
  void restore(rank_id r, std::int64_t iteration);

  // what pipeline_run asks for

  /// A new worker takes a dead one's place: it remembers nothing, and goes on with `iteration` once
  /// it has received its state.
  void replace(rank_id r, std::int64_t iteration);
  /// Returns the mean loss of a completed iteration. Micro-batches are added in order. NaN where
  /// this process doesn't know it.
  [[nodiscard]] double loss(std::int64_t iteration) const;

  // what a run with a training_policy asks for

  /// Ranks begin with these stages instead of the job's, and pipelines with these micro-batches.
  /// The model initialises stages that a rank doesn't have.
  /// Throws logic_error where a rank whose stages change has stepped.
  void begin(held_stages const& held, per_pipeline const& microbatches);
  /// Ranks hold these stages from now on, and go on with `iteration`. States are where stage_copies
  /// has brought them. `microbatches` are those of the pipelines from now on.
  void rearrange(held_stages const& held, per_pipeline const& microbatches, std::int64_t iteration);
  /// Every rank keeps a copy of the states that it holds before `iteration`, in place of the last.
  void keep_checkpoint(std::int64_t iteration);
  /// Every rank holds what it kept.
  /// Requires a checkpoint.
  void return_to_checkpoint();

  // results

  /// Returns the stages that a rank holds, ascending. None where it has no memory here.
  [[nodiscard]] std::vector<stage_id> held_by(rank_id r) const {
    std::vector<stage_id> all;
    for (held_stage const& s : ranks_[r.index()].stages) all.push_back(s.stage);
    return all;
  }
  /// Returns the parameters of a stage on a rank that holds it.
  [[nodiscard]] std::span<float const> parameters(rank_id r, stage_id s) {
    return state_of(r, held(r, s)).parameters;
  }
  /// Returns the number of times that a rank was rolled back.
  [[nodiscard]] std::int64_t restored(rank_id r) const { return ranks_[r.index()].restored; }
  /// Returns what became of a validated step. With staggered steps it is known once the next
  /// iteration has ended.
  [[nodiscard]] step_outcome const& step_of(rank_id r, std::int64_t iteration) const {
    return ranks_[r.index()].stages.front().steps[static_cast<std::size_t>(iteration)];
  }
  [[nodiscard]] std::optional<std::int64_t> overflow_of(rank_id r) const;
  [[nodiscard]] std::optional<overflow> first_overflow() const;

 private:
  using buffers = pipeline_buffers;

  struct held_stage {
    stage_id stage{};
    std::int32_t chunk = 0;
    std::vector<float, aligned_allocator<float>> scratch{};  // a gradient before it is added
    std::int64_t steps_made = 0;
    bool has_stepped = false;  // in the last step, before it was validated
    std::optional<std::int64_t> overflow{};
    std::vector<step_outcome> steps{};  // by iteration
  };
  // touched by one thread at a time
  struct rank_state {
    std::vector<held_stage> stages{};
    std::int64_t restored = 0;
    std::optional<std::int64_t> overflow{};  // of stages that it held before
  };
  struct checkpoint {
    std::int64_t iteration = 0;
    per_pipeline microbatches = 1;
    held_stages held{};                                // by rank
    std::vector<std::vector<aligned_bytes>> states{};  // likewise
  };
  struct optimizer_memory {
    std::span<float> parameters, moments;
  };

  [[nodiscard]] bool is_last(stage_id s) const { return s.value() + 1 == training_.job.stages; }
  [[nodiscard]] std::int64_t terms() const { return training_.job.total_microbatches(); }
  [[nodiscard]] held_stage& held(rank_id r, stage_id s);
  // Lets a rank hold stages with these states.
  void hold(rank_id r, std::vector<stage_id> const& stages, std::vector<aligned_bytes> states,
            std::int64_t iteration);
  [[nodiscard]] optimizer_memory state_of(rank_id r, held_stage const& of);
  [[nodiscard]] double* loss_of(std::int64_t iteration, std::int64_t microbatch) {
    return &losses_[static_cast<std::size_t>(iteration * terms() + microbatch)];
  }

  // The numbers of a region.
  // Throws invalid_program where it holds another number than `count`.
  template <class T>
  [[nodiscard]] std::span<T> numbers(rank_id r, task const& t, region const& at, char const* what,
                                     std::int64_t count);
  template <class T>
  [[nodiscard]] T load(rank_id r, region const& at);
  template <class T>
  void store(rank_id r, region const& at, T const& value);

  void forward(rank_id r, task const& t, std::int64_t microbatch);
  void backward_input(rank_id r, task const& t, backward_input_operands const& on,
                      std::int64_t microbatch);
  void backward_weight(rank_id r, task const& t, backward_weight_operands const& on,
                       std::int64_t microbatch);
  void gradient_norm(rank_id r, task const& t);
  void step(rank_id r, task const& t);
  void validated_step(rank_id r, task const& t);
  void validate_step(rank_id r, task const& t);
  void redo_step(rank_id r, task const& t);

  // Whether losses travel beside the flag of this stage: the bits of each, one word a micro-batch.
  [[nodiscard]] bool says_losses(held_stage const& of) const {
    return training_.only && is_last(of.stage);
  }
  // Takes the losses of all ranks from a flag that was reduced.
  void hear_losses(rank_id r, held_stage const& of, std::int64_t iteration, region const& flag);
  // Whether a step on these norms is the one that would be made without them.
  [[nodiscard]] bool stands(gradient_norms const& norms) const {
    return norms.finite() && (!training_.clip || norms.coefficient(*training_.clip) >= 1);
  }
  // Computes the mean gradient, in the scratch. Returns how many values are not finite.
  std::int64_t take_mean(rank_id r, held_stage& of, region const& gradient);
  // Makes the step of an iteration that norms ask for.
  void step_on(rank_id r, held_stage& of, std::int64_t iteration, region const& gradient,
               gradient_norms const& norms, bool taken_back);

  Model const model_;
  pipeline_training const training_;
  Optimizer const optimizer_;
  stage_table const stages_;
  per_pipeline microbatches_;   // of the pipelines, as they are now
  std::vector<double> losses_;  // iterations x micro-batches of all pipelines
  host_memory memory_;
  std::vector<rank_state> ranks_{};  // by rank
  checkpoint kept_{};
};

}  // namespace shunt

#include "shunt/train/pipeline_work.ipp"
