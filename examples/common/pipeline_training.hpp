#pragma once
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "adam.hpp"
#include "aligned_bytes.hpp"
#include "fixed_point.hpp"
#include "language_model.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/program/program.hpp"
#include "text.hpp"
#include "training_notes.hpp"

namespace example {

/// Trains a language model on the D x S workers of a pipeline job: the memory of every worker and
/// what its operations compute. Meant for programs of `lower(pipeline_job, pipeline_schedule,
/// tensors())`, whose regions stand in the order said there.
///
/// A micro-batch's samples, loss and gradient depend on (seed, iteration, micro-batch counted over
/// all pipelines) and on the parameters alone, gradients are summed as integers and divided by the
/// count of all micro-batches: losses are the same bits under every plan. Where a gradient
/// overflows its stage leaves the step out, under every plan alike. Where steps are validated all
/// stages leave it out, and gradients whose norm over all stages is beyond `clip` count less.
class pipeline_training {
 public:
  static constexpr std::int64_t most_iterations = 1'000'000;

  using bad_gradient = example::bad_gradient;
  using validated_step = example::validated_step;

  struct config {
    language_model model{};
    shunt::pipeline_job job{};    ///< sizes and costs; model.stages = job.stages
    std::int64_t iterations = 1;  ///< that losses are kept of
    std::uint64_t seed = 1;
    adam optimizer{};
    std::optional<double> clip{};  ///< most norm of a step's gradient over all stages
    std::vector<bad_gradient> inject{};
    bool validate = false;  ///< steps, even where nothing is clipped or injected
    shunt::rollback rollback = shunt::rollback::kept_state;  ///< of the programs that are run
    [[nodiscard]] bool validates() const { return validate || clip || !inject.empty(); }
    /// The rank of this process, where each has one of its own. Other ranks then have no memory
    /// here, and what the last stage's peers know of losses travels with its gradients: they all
    /// know the loss of an iteration that all have completed, the others don't.
    std::optional<shunt::rank_id> only{};
    std::chrono::nanoseconds unit{0};  ///< time of one tick of the job's costs: an operation that
                                       ///< computes faster waits for the rest
  };

  /// Throws invalid_problem, naming the field, where a configuration can't be trained.
  [[nodiscard]] static config const& checked(config const& c) {
    shunt::validate(c.job);
    validate(c.model);
    if (c.model.stages != c.job.stages)
      throw shunt::invalid_problem("stages", "the model and the job differ");
    if (c.clip && !(*c.clip > 0 && std::isfinite(*c.clip)))
      throw shunt::invalid_problem("clip", "must be a number above 0");
    for (std::size_t n = 0; n < c.inject.size(); ++n) {
      auto const& bad = c.inject[n];
      auto const refuse = [&](char const* what, std::int64_t value, std::int64_t count) {
        if (value < 0 || value >= count)
          throw shunt::invalid_problem("inject-nan[" + std::to_string(n) + "]",
                                       std::string(what) + " " + std::to_string(value) +
                                           " is not one of 0.." + std::to_string(count - 1));
      };
      refuse("stage", bad.stage.value(), c.job.stages);
      refuse("iteration", bad.iteration, c.iterations);
      refuse("micro-batch", bad.microbatch, c.job.total_microbatches());
    }
    if (c.iterations < 1 || c.iterations > most_iterations)
      throw shunt::invalid_problem("iterations", "must be between 1 and " +
                                                     std::to_string(most_iterations) + ", is " +
                                                     std::to_string(c.iterations));
    if (c.job.total_microbatches() > fixed_point::most_terms)
      throw shunt::invalid_problem("microbatches",
                                   "at most " + std::to_string(fixed_point::most_terms) +
                                       " in all pipelines fit the gradient's fixed point");
    return c;
  }

  /// Throws invalid_problem where a size is not positive or the text is too short. `bytes` must
  /// outlive the work.
  pipeline_training(config const& c, text_bytes const& bytes)
      : config_(checked(c)),
        text_(bytes, c.model.window(), c.seed),
        losses_(static_cast<std::size_t>(c.iterations) *
                    static_cast<std::size_t>(c.job.total_microbatches()),
                std::numeric_limits<double>::quiet_NaN()),
        workers_(static_cast<std::size_t>(c.job.ranks())) {
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(c.job.ranks())) {
      if (!here(r)) continue;
      auto const s = stage_of(r);
      auto& own = workers_[r.index()];
      own.buffers.resize(2);
      for (auto const b : {shunt::pipeline_buffers::state(), shunt::pipeline_buffers::kept()})
        own.buffers[b].resize(static_cast<std::size_t>(tensors().state[s]));
      own.scratch.resize(c.model.parameters(s));
      if (c.validates()) own.steps.resize(static_cast<std::size_t>(c.iterations));
      c.model.initialise(s, c.seed, state_of(r).parameters);
    }
  }

  /// What the buffers of the job's programs must hold.
  [[nodiscard]] static shunt::pipeline_tensors tensors(config const& c) {
    std::vector<shunt::byte_count> stash, gradient, state;
    for (shunt::stage_id s : shunt::ids<shunt::stage_id>(c.job.stages)) {
      auto const parameters = static_cast<shunt::byte_count>(c.model.parameters(s));
      stash.push_back(static_cast<shunt::byte_count>(c.model.stash(s) * sizeof(float)));
      auto const losses = c.only && c.model.is_last(s) ? c.job.total_microbatches() : 0;
      gradient.push_back((parameters + losses) *
                         static_cast<shunt::byte_count>(sizeof(std::int64_t)));
      state.push_back(3 * parameters * static_cast<shunt::byte_count>(sizeof(float)));
    }
    return {.activation = static_cast<shunt::byte_count>(c.model.message() * sizeof(float)),
            .stash = shunt::per_stage(std::move(stash)),
            .gradient = shunt::per_stage(std::move(gradient)),
            .state = shunt::per_stage(std::move(state))};
  }
  [[nodiscard]] shunt::pipeline_tensors tensors() const { return tensors(config_); }

  /// Makes room for the buffers of a program. Nobody may be running; what buffers held before
  /// stays.
  void fit(shunt::program const& p) {
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(p.ranks.size())) {
      if (!here(r)) continue;
      auto& own = workers_[r.index()].buffers;
      auto const& needed = p.ranks[r].buffers;
      if (own.size() < needed.size()) own.resize(needed.size());
      for (shunt::buffer_id b : shunt::ids<shunt::buffer_id>(needed.size()))
        if (own[b].size() < static_cast<std::size_t>(needed[b].size))
          own[b].resize(static_cast<std::size_t>(needed[b].size));
    }
  }

  // --- what executors ask for

  [[nodiscard]] std::span<std::byte> buffer(shunt::rank_id r, shunt::buffer_id b) {
    auto& own = workers_[r.index()].buffers;
    return own.contains(b) ? std::span<std::byte>(own[b]) : std::span<std::byte>();
  }

  void operator()(shunt::rank_id r, shunt::task const& t) {
    auto const start = clock::now();
    compute(r, t);
    auto const whole = cost_of(t.op) * config_.unit;
    if (whole.count() == 0) return;
    auto& spent = workers_[r.index()].spent[t.op.kind];
    spent.computing += clock::now() - start;
    spent.whole += whole;
    std::this_thread::sleep_until(start + whole);
  }

  /// Takes a step of `iteration` back, if this rank has made it.
  void restore(shunt::rank_id r, std::int64_t iteration) {
    auto& own = workers_[r.index()];
    if (own.iteration > iteration) {
      if (own.iteration != iteration + 1)
        throw std::logic_error("rank " + std::to_string(r.value()) + " is " +
                               std::to_string(own.iteration - iteration) +
                               " steps ahead, one can be taken back");
      own.buffers[shunt::pipeline_buffers::state()] = own.buffers[shunt::pipeline_buffers::kept()];
      own.iteration = iteration;
      if (own.overflow == iteration) own.overflow.reset();
      ++own.restored;
    }
  }

  // --- what the training program asks for

  /// A new worker comes in a dead one's place: it remembers nothing, and once it has received its
  /// state goes on with `iteration`.
  void replace(shunt::rank_id r, std::int64_t iteration) {
    for (auto& b : workers_[r.index()].buffers) std::fill(b.begin(), b.end(), std::byte{0xff});
    workers_[r.index()].iteration = iteration;
  }

  /// The mean loss of an iteration in nats a byte: micro-batches are added in their order, whoever
  /// computed them.
  [[nodiscard]] double loss(std::int64_t iteration) const {
    auto const count = config_.job.total_microbatches();
    double sum = 0;
    for (std::int64_t g = 0; g < count; ++g)
      sum += losses_[static_cast<std::size_t>(iteration * count + g)];
    return sum / count;
  }
  /// Steps taken back on a worker so far.
  [[nodiscard]] std::int64_t restored(shunt::rank_id r) const {
    return workers_[r.index()].restored;
  }
  /// The parameters of a worker.
  [[nodiscard]] std::span<float const> parameters(shunt::rank_id r) {
    return state_of(r).parameters;
  }
  /// A gradient overflowed or was not finite, on the stage of this worker in this iteration: the
  /// step was left out.
  struct overflow {
    shunt::rank_id rank{};
    std::int64_t iteration = 0;
  };
  /// The step of an iteration that was validated: with staggered steps, once the next one has
  /// ended.
  [[nodiscard]] validated_step const& step_of(shunt::rank_id r, std::int64_t iteration) const {
    return workers_[r.index()].steps[static_cast<std::size_t>(iteration)];
  }
  /// Whether programs are to validate steps.
  [[nodiscard]] bool validates() const { return config_.validates(); }
  /// The first iteration whose step a worker left out.
  [[nodiscard]] std::optional<std::int64_t> overflow_of(shunt::rank_id r) const {
    return workers_[r.index()].overflow;
  }
  [[nodiscard]] std::optional<overflow> first_overflow() const {
    std::optional<overflow> first;
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(workers_.size()))
      if (auto const at = workers_[r.index()].overflow; at && (!first || *at < first->iteration))
        first = {r, *at};
    return first;
  }
  /// Real computation over the time that operations are to take, of the worker and kind of
  /// operation where it is largest, over everything run so far; 0 where operations don't wait.
  [[nodiscard]] double computing_share() const {
    double largest = 0;
    for (auto const& own : workers_)
      for (auto const& [kind, spent] : own.spent)
        largest = std::max(largest, static_cast<double>(spent.computing.count()) /
                                        static_cast<double>(spent.whole.count()));
    return largest;
  }

 private:
  using clock = std::chrono::steady_clock;

  struct time_spent {
    std::chrono::nanoseconds computing{0}, whole{0};
  };

  /// One worker; touched by its own thread alone while programs run.
  struct worker_state {
    shunt::indexed<shunt::buffer_id, aligned_bytes> buffers{};
    std::vector<float, aligned_allocator<float>>
        scratch{};               ///< a micro-batch's gradient before it is rounded
    std::int64_t iteration = 0;  ///< steps made
    std::int64_t restored = 0;
    std::optional<std::int64_t> overflow{};
    std::map<shunt::op_kind, time_spent> spent{};  ///< where operations wait
    std::vector<validated_step> steps{};           ///< by iteration
    bool has_stepped = false;                      ///< in the last step, before it was validated
  };
  struct optimizer_memory {
    std::span<float> parameters, first, second;
  };

  [[nodiscard]] bool here(shunt::rank_id r) const { return !config_.only || r == *config_.only; }
  [[nodiscard]] shunt::stage_id stage_of(shunt::rank_id r) const {
    return config_.job.worker_of(r).stage;
  }
  [[nodiscard]] optimizer_memory state_of(shunt::rank_id r) {
    auto const all = as<float>(
        std::span<std::byte>(workers_[r.index()].buffers[shunt::pipeline_buffers::state()]));
    auto const size =
        config_.model.parameters(stage_of(r));  // a validated step's record may follow
    return {all.first(size), all.subspan(size, size), all.subspan(2 * size, size)};
  }
  [[nodiscard]] shunt::ticks cost_of(shunt::operation const& op) const {
    auto const& costs = config_.job.costs;
    switch (op.kind) {
      case shunt::op_kind::forward: return costs.forward[op.stage];
      case shunt::op_kind::backward_input: return costs.backward_input[op.stage];
      case shunt::op_kind::backward_weight: return costs.backward_weight[op.stage];
      case shunt::op_kind::backward:
        return costs.backward_input[op.stage] + costs.backward_weight[op.stage];
      case shunt::op_kind::step:
      case shunt::op_kind::redo_step: return costs.step[op.stage];
      default: return 0;
    }
  }

  void compute(shunt::rank_id r, shunt::task const& t) {
    auto const s = stage_of(r);
    auto& own = workers_[r.index()];
    auto const& model = config_.model;
    auto const floats = [&](shunt::region const& at) {
      auto const bytes = buffer(r, at.buffer);
      return as<float>(
          bytes.subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size)));
    };
    auto const integers = [&](shunt::region const& at) {
      auto const bytes = buffer(r, at.buffer);
      return as<std::int64_t>(
          bytes.subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size)));
    };
    std::int64_t const microbatch =
        t.op.pipeline.value() * config_.job.microbatches + t.op.microbatch.value();
    auto const backward_input =
        [&] {  // reads: state, input, stash, output_gradient; writes: input_gradient, stash
          model.backward_input(s, state_of(r).parameters, floats(t.reads[3]), floats(t.writes[1]),
                               floats(t.writes[0]));
        };
    auto const backward_weight = [&](shunt::region const& gradient,
                                     shunt::region const& flag) {  // reads[2]: stash
      model.backward_weight(s, text_, t.iteration, microbatch, floats(t.reads[2]), own.scratch);
      if (std::find(config_.inject.begin(), config_.inject.end(),
                    bad_gradient{s, t.iteration, microbatch}) != config_.inject.end())
        own.scratch[0] = std::numeric_limits<float>::quiet_NaN();
      integers(flag)[0] += fixed_point::accumulate(own.scratch, integers(gradient));
      if (config_.only && model.is_last(s))  // one worker says it, all others zero
        integers(gradient)[own.scratch.size() + static_cast<std::size_t>(microbatch)] =
            std::bit_cast<std::int64_t>(*loss_of(t.iteration, microbatch));
    };
    auto const take_losses =
        [&](shunt::region const& gradient) {  // of all peers: the gradient is reduced
          if (!config_.only || !model.is_last(s)) return;
          for (std::int64_t g = 0; g < config_.job.total_microbatches(); ++g)
            *loss_of(t.iteration, g) = std::bit_cast<double>(
                integers(gradient)[own.scratch.size() + static_cast<std::size_t>(g)]);
        };
    switch (t.op.kind) {
      case shunt::op_kind::forward: {  // reads: state, input; writes: output, stash
        double const loss =
            model.forward(s, state_of(r).parameters, text_, t.iteration, microbatch,
                          floats(t.reads[1]), floats(t.writes[1]), floats(t.writes[0]));
        if (model.is_last(s)) *loss_of(t.iteration, microbatch) = loss;
        return;
      }
      case shunt::op_kind::backward_input: return backward_input();
      case shunt::op_kind::backward_weight: return backward_weight(t.writes[0], t.writes[1]);
      case shunt::op_kind::backward:
        backward_input();
        return backward_weight(t.writes[2], t.writes[3]);
      case shunt::op_kind::gradient_norm: {  // reads: gradient, flag; writes: share of the verdict
        shunt::gradient_norms share{.not_finite = static_cast<double>(integers(t.reads[1])[0]),
                                    .stages = 1};
        for (auto const sum : integers(t.reads[0]).first(own.scratch.size())) {
          double const g = fixed_point::mean(sum, config_.job.total_microbatches());
          share.squares += g * g;
        }
        return store(r, t.writes[0], share);
      }
      case shunt::op_kind::validate_step: {  // reads: verdict, record; writes: redo, again
        bool const redo = !stands(load<shunt::gradient_norms>(r, t.reads[0]));
        bool const pending = load<shunt::step_record>(r, t.reads[1]).pending != 0;
        integers(t.writes[0])[0] = redo;
        integers(t.writes[0])[1] = redo && pending;
        return;
      }
      case shunt::op_kind::redo_step: {  // reads: gradient, verdict, state, record; writes: state,
                                         // record
        auto record = load<shunt::step_record>(r, t.reads[3]);
        record.pending = 0;
        if (config_.rollback == shunt::rollback::inverse && own.has_stepped) {
          auto const state = state_of(r);
          config_.optimizer.undo(state.parameters, state.first, state.second, integers(t.reads[0]),
                                 config_.job.total_microbatches(), t.iteration);
        }
        step(r, t.iteration - 1, integers(t.reads[0]), load<shunt::gradient_norms>(r, t.reads[1]),
             own.has_stepped);
        return store(r, t.writes[1], record);
      }
      case shunt::op_kind::step: {  // reads: gradient, flag or verdict so far, state; writes: state
                                    // and, with a verdict, record
        take_losses(t.reads[0]);
        if (t.reads[1].size == shunt::gradient_norms::bytes) {
          auto const norms = load<shunt::gradient_norms>(r, t.reads[1]);
          own.has_stepped = stands(norms);
          if (norms.stages == config_.job.stages || own.has_stepped)
            step(r, t.iteration, integers(t.reads[0]), norms, false);
          store(r, t.writes[1], shunt::step_record{norms, 1});
          own.iteration = t.iteration + 1;
          return;
        }
        auto const state = state_of(r);
        if (integers(t.reads[1])[0] == 0)
          config_.optimizer(state.parameters, state.first, state.second, integers(t.reads[0]),
                            config_.job.total_microbatches(), t.iteration + 1);
        else if (!own.overflow)
          own.overflow = t.iteration;
        own.iteration = t.iteration + 1;
        return;
      }
      default:
        throw std::logic_error("a pipeline has no operation " + std::string(to_string(t.op.kind)));
    }
  }

  [[nodiscard]] double* loss_of(std::int64_t iteration, std::int64_t microbatch) {
    return &losses_[static_cast<std::size_t>(iteration * config_.job.total_microbatches() +
                                             microbatch)];
  }
  /// Whether a step under this verdict is the one that would be made without.
  [[nodiscard]] bool stands(shunt::gradient_norms const& v) const {
    return v.finite() && (!config_.clip || v.coefficient(*config_.clip) >= 1);
  }
  /// The step that a verdict asks for.
  void step(shunt::rank_id r, std::int64_t iteration, std::span<std::int64_t const> gradient,
            shunt::gradient_norms const& v, bool taken_back) {
    double const scale = config_.clip ? v.coefficient(*config_.clip) : 1;
    workers_[r.index()].steps[static_cast<std::size_t>(iteration)] = {
        std::sqrt(v.squares), !v.finite(), v.finite() && scale < 1, taken_back};
    if (!v.finite()) return;
    auto const state = state_of(r);
    config_.optimizer(state.parameters, state.first, state.second, gradient,
                      config_.job.total_microbatches(), iteration + 1, static_cast<float>(scale));
  }
  template <class T>
  [[nodiscard]] T load(shunt::rank_id r, shunt::region const& at) {
    T value;
    std::memcpy(&value, buffer(r, at.buffer).data() + at.offset, sizeof value);
    return value;
  }
  template <class T>
  void store(shunt::rank_id r, shunt::region const& at, T const& value) {
    std::memcpy(buffer(r, at.buffer).data() + at.offset, &value, sizeof value);
  }

  config const config_;
  sampler const text_;
  std::vector<double> losses_;         ///< iterations x micro-batches of all pipelines
  std::vector<worker_state> workers_;  ///< by rank
};

static_assert(shunt::restorable_work<pipeline_training>);

}  // namespace example
