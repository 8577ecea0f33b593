#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "aligned_bytes.hpp"
#include "fixed_point.hpp"
#include "pipeline_training.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/device/adam_step.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/validated_program.hpp"
#include "shunt/program/program.hpp"
#include "step_kernels.hpp"
#include "stream_model.hpp"
#include "text.hpp"
#include "training_device.hpp"
#include "training_notes.hpp"

namespace example {

/// pipeline_training on the streams of one device, which all workers of the job share: the same
/// model, the same programs, the same rules. Every operation is a row of kernels and products on
/// the stream that it is given, the same whoever computes it, so losses are the same bits under
/// every plan on the same device. They differ from the host's by rounding: see `tolerance`.
///
/// What a program's operations compute is written by model_kernels.hpp and step_kernels.hpp;
/// nothing waits, nothing is allocated, and the iteration is read on the device. A worker computes
/// on one lane, for its operations share scratch memory. Everything else waits for the device where
/// it has to, and is not to be called while something is enqueued or captured.
template <training_device Device>
class stream_training {
 public:
  using config = pipeline_training::config;
  using stream_ref = typename Device::system::stream_ref;
  /// Most relative difference of a loss from the host's in the first `compared` iterations.
  /// Differences of 1e-8 stay what they are until one of them turns a unit of a ReLU on or off;
  /// later the two trainings part, as any two do that round differently.
  static constexpr double tolerance = 1e-3;
  static constexpr std::size_t compared = 100;

  /// Throws invalid_problem where pipeline_training does, and where operations are to take a time
  /// of their own, which needs threads.
  stream_training(config const& c, text_bytes const& bytes, Device& device)
      : config_(pipeline_training::checked(c)),
        device_(device),
        choice_(sampler(bytes, c.model.window(), c.seed).choice()),
        text_(device.memory(bytes.size())),
        bad_(device.memory(c.inject.size() * sizeof(bad_gradient))),
        losses_(device.memory(total_losses() * sizeof(double))) {
    if (c.only) throw shunt::invalid_problem("only", "workers on streams are all in one process");
    if (c.unit.count() != 0)
      throw shunt::invalid_problem("op-ms", "operations on streams take what they take");
    if (c.rollback != shunt::rollback::kept_state)
      throw shunt::invalid_problem("rollback", "steps on streams go back to the kept state");
    device_.write(std::as_bytes(std::span(bytes)), text_.bytes());
    device_.write(std::as_bytes(std::span(c.inject)), bad_.bytes());
    std::vector<double> const unknown(total_losses(), std::numeric_limits<double>::quiet_NaN());
    device_.write(std::as_bytes(std::span(unknown)), losses_.bytes());
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(c.job.ranks())) {
      auto const s = stage_of(r);
      workers_.emplace_back(device_, config_, s);
      store(workers_.back().notes, worker_notes{});
      std::vector<float, aligned_allocator<float>> parameters(c.model.parameters(s));
      c.model.initialise(s, c.seed, parameters);
      device_.write(std::as_bytes(std::span(parameters)),
                    buffer(r, shunt::pipeline_buffers::state()));
    }
  }

  [[nodiscard]] shunt::pipeline_tensors tensors() const {
    return pipeline_training::tensors(config_);
  }
  [[nodiscard]] bool validates() const { return config_.validates(); }

  /// Makes room for the buffers of a program; what buffers held before stays. Throws
  /// invalid_program where a rank computes on two lanes.
  void fit(shunt::program const& p) {
    device_.settle();
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(p.ranks.size())) {
      auto const& list = p.ranks[r];
      std::optional<std::uint8_t> lane;
      for (auto const& i : list.instructions)
        if (i.code == shunt::opcode::compute && lane.value_or(i.lane) != i.lane)
          throw shunt::invalid_program("rank " + std::to_string(r.value()) +
                                       " computes on two lanes, its scratch memory is for one");
        else if (i.code == shunt::opcode::compute)
          lane = i.lane;
      auto& own = workers_[r.index()].buffers;
      while (own.size() < list.buffers.size()) own.push_back(device_.memory(0));
      for (shunt::buffer_id b : shunt::ids<shunt::buffer_id>(list.buffers.size())) {
        auto const before = own[b.index()].bytes();
        if (before.size() >= static_cast<std::size_t>(list.buffers[b].size)) continue;
        auto larger = device_.memory(static_cast<std::size_t>(list.buffers[b].size));
        device_.copy(before, larger.bytes().first(before.size()));
        own[b.index()] = std::move(larger);
      }
    }
  }

  // --- what executors ask for

  [[nodiscard]] std::span<std::byte> buffer(shunt::rank_id r, shunt::buffer_id b) {
    auto& own = workers_[r.index()].buffers;
    return b.index() < own.size() ? own[b.index()].bytes() : std::span<std::byte>();
  }

  void operator()(shunt::rank_id r, shunt::stream_task const& t, stream_ref on) {
    auto const microbatch =
        std::int64_t{t.op.pipeline.value()} * config_.job.microbatches + t.op.microbatch.value();
    auto const pass = pass_of(r, t, on, microbatch);
    auto const parameters = std::span<float const>(parameters_of(r));
    auto const backward_input =
        [&] {  // reads: state, input, stash, output_gradient; writes: input_gradient, stash
          pass.backward_input(parameters, at<float>(r, t.reads[3]), all<float>(r, t.writes[1]),
                              at<float>(r, t.writes[0]));
        };
    switch (t.op.kind) {
      case shunt::op_kind::forward:  // reads: state, input; writes: output, stash
        return pass.forward(parameters, at<float>(r, t.reads[1]), all<float>(r, t.writes[1]),
                            at<float>(r, t.writes[0]),
                            {pass.scratch.losses, config_.model.batch, t.iteration, microbatch,
                             config_.job.total_microbatches(), as<double>(losses_.bytes()).data()});
      case shunt::op_kind::backward_input: return backward_input();
      case shunt::op_kind::backward_weight:
        return backward_weight(pass, r, t, microbatch, t.writes[0], t.writes[1]);
      case shunt::op_kind::backward:
        backward_input();
        return backward_weight(pass, r, t, microbatch, t.writes[2], t.writes[3]);
      case shunt::op_kind::gradient_norm: return gradient_norm(r, t, on);
      case shunt::op_kind::step: return step(r, t, on);
      case shunt::op_kind::validate_step:  // reads: verdict, record; writes: redo, again
        return device_.each(on, 1,
                            check_step{rule(), at<shunt::gradient_norms>(r, t.reads[0]),
                                       at<shunt::step_record>(r, t.reads[1]),
                                       at<std::int64_t>(r, t.writes[0])},
                            t.condition);
      case shunt::op_kind::redo_step:  // reads: gradient, verdict, state, record; writes: state,
                                       // record
        device_.each(on, 1,
                     decide_redo_step{rule(), t.iteration, at<shunt::gradient_norms>(r, t.reads[1]),
                                      at<shunt::step_record>(r, t.writes[1]), steps_of(r),
                                      notes_of(r)},
                     t.condition);
        return optimise(r, t, on);
      default:
        throw std::logic_error("a pipeline has no operation " + std::string(to_string(t.op.kind)));
    }
  }

  /// Takes a step of `iteration` back, if this rank has made it.
  void restore(shunt::rank_id r, std::int64_t iteration) {
    device_.settle();
    auto& own = workers_[r.index()];
    auto notes = load<worker_notes>(own.notes);
    if (notes.steps <= iteration) return;
    if (notes.steps != iteration + 1)
      throw std::logic_error("rank " + std::to_string(r.value()) + " is " +
                             std::to_string(notes.steps - iteration) +
                             " steps ahead, one can be taken back");
    device_.copy(buffer(r, shunt::pipeline_buffers::kept()),
                 buffer(r, shunt::pipeline_buffers::state()));
    notes.steps = iteration;
    if (notes.overflow == iteration) notes.overflow = worker_notes::never;
    store(own.notes, notes);
    ++own.restored;
  }

  // --- what the training program asks for, as of pipeline_training

  void replace(shunt::rank_id r, std::int64_t iteration) {
    device_.settle();
    auto& own = workers_[r.index()];
    for (auto& b : own.buffers)
      device_.write(std::vector<std::byte>(b.bytes().size(), std::byte{0xff}), b.bytes());
    auto notes = load<worker_notes>(own.notes);
    notes.steps = iteration;
    store(own.notes, notes);
  }
  /// Of an iteration that is complete, whatever else is under way.
  [[nodiscard]] double loss(std::int64_t iteration) {
    auto const count = static_cast<std::size_t>(config_.job.total_microbatches());
    std::vector<double> terms(count);
    device_.read(
        losses_.bytes().subspan(static_cast<std::size_t>(iteration) * count * sizeof(double),
                                count * sizeof(double)),
        std::as_writable_bytes(std::span(terms)));
    double sum = 0;
    for (double const term : terms) sum += term;
    return sum / static_cast<double>(count);
  }
  [[nodiscard]] std::int64_t restored(shunt::rank_id r) const {
    return workers_[r.index()].restored;
  }
  [[nodiscard]] std::vector<float> parameters(shunt::rank_id r) {
    std::vector<float> values(config_.model.parameters(stage_of(r)));
    device_.read(std::as_bytes(parameters_of(r)), std::as_writable_bytes(std::span(values)));
    return values;
  }
  [[nodiscard]] validated_step step_of(shunt::rank_id r, std::int64_t iteration) {
    return load<validated_step>(workers_[r.index()].steps, static_cast<std::size_t>(iteration));
  }
  [[nodiscard]] std::optional<pipeline_training::overflow> first_overflow() {
    std::optional<pipeline_training::overflow> first;
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(workers_.size()))
      if (auto const at = load<worker_notes>(workers_[r.index()].notes).overflow;
          at != worker_notes::never && (!first || at < first->iteration))
        first = {r, at};
    return first;
  }
  [[nodiscard]] double computing_share() const { return 0; }  // operations don't wait

 private:
  using memory = typename Device::system::memory;

  /// Parts of a sum over all parameters, in two levels of neighbours.
  static constexpr std::int64_t neighbours = 64, lanes = neighbours * neighbours;

  struct worker {
    std::vector<memory> buffers{};
    memory product, starts, losses;  // see pass_scratch
    memory gradient;                 // a micro-batch's, before it is rounded
    memory sums;                     // those of lanes, of neighbours, and the whole
    memory notes, steps;
    std::int64_t restored = 0;

    worker(Device& d, config const& c, shunt::stage_id s)
        : product(d.memory(static_cast<std::size_t>(pass_scratch::product_size(c.model)) *
                           sizeof(float))),
          starts(d.memory(static_cast<std::size_t>(c.model.batch) * sizeof(std::int64_t))),
          losses(d.memory(static_cast<std::size_t>(c.model.batch) * sizeof(double))),
          gradient(d.memory(c.model.parameters(s) * sizeof(float))),
          sums(d.memory(static_cast<std::size_t>(lanes + neighbours + 1) * sizeof(double))),
          notes(d.memory(sizeof(worker_notes))),
          steps(d.memory(c.validates()
                             ? static_cast<std::size_t>(c.iterations) * sizeof(validated_step)
                             : 0)) {
      auto const state = static_cast<std::size_t>(pipeline_training::tensors(c).state[s]);
      buffers.push_back(d.memory(state));  // state
      buffers.push_back(d.memory(state));  // kept
    }
  };

  [[nodiscard]] shunt::stage_id stage_of(shunt::rank_id r) const {
    return config_.job.worker_of(r).stage;
  }
  [[nodiscard]] std::size_t total_losses() const {
    return static_cast<std::size_t>(config_.iterations) *
           static_cast<std::size_t>(config_.job.total_microbatches());
  }
  template <class T>
  [[nodiscard]] std::span<T> all(shunt::rank_id r, shunt::region const& at) {
    return as<T>(
        buffer(r, at.buffer)
            .subspan(static_cast<std::size_t>(at.offset), static_cast<std::size_t>(at.size)));
  }
  template <class T>
  [[nodiscard]] T* at(shunt::rank_id r, shunt::region const& where) {
    return reinterpret_cast<T*>(buffer(r, where.buffer).data() + where.offset);
  }
  [[nodiscard]] std::span<float> parameters_of(shunt::rank_id r) {
    return as<float>(buffer(r, shunt::pipeline_buffers::state()))
        .first(config_.model.parameters(stage_of(r)));
  }
  [[nodiscard]] worker_notes* notes_of(shunt::rank_id r) {
    return as<worker_notes>(workers_[r.index()].notes.bytes()).data();
  }
  [[nodiscard]] validated_step* steps_of(shunt::rank_id r) {
    return as<validated_step>(workers_[r.index()].steps.bytes()).data();
  }
  [[nodiscard]] step_rule rule() const {
    auto const& o = config_.optimizer;
    return {config_.clip.value_or(0), {o.rate, o.beta1, o.beta2, o.epsilon}};
  }

  template <class T>
  [[nodiscard]] T load(memory& from, std::size_t index = 0) {
    T value{};
    device_.read(from.bytes().subspan(index * sizeof value, sizeof value),
                 std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <class T>
  void store(memory& to, T const& value) {
    device_.write(std::as_bytes(std::span(&value, 1)), to.bytes());
  }

  [[nodiscard]] model_pass<Device> pass_of(shunt::rank_id r, shunt::stream_task const& t,
                                           stream_ref on, std::int64_t microbatch) {
    auto& own = workers_[r.index()];
    pass_scratch const scratch{as<float>(own.product.bytes()).data(),
                               as<std::int64_t>(own.starts.bytes()).data(),
                               as<double>(own.losses.bytes()).data()};
    return {device_,
            on,
            t.condition,
            config_.model,
            stage_of(r),
            scratch,
            as<std::uint8_t>(text_.bytes()).data(),
            {choice_, t.iteration, microbatch, scratch.starts}};
  }

  void backward_weight(model_pass<Device> const& pass, shunt::rank_id r,
                       shunt::stream_task const& t, std::int64_t microbatch,
                       shunt::region const& gradient,
                       shunt::region const& flag) {  // reads[2]: stash
    auto& own = workers_[r.index()];
    auto const mine = as<float>(own.gradient.bytes());
    pass.backward_weight(all<float>(r, t.reads[2]), mine);
    auto const here = [&](bad_gradient const& b) {
      return b.stage == pass.stage && b.microbatch == microbatch;
    };
    if (std::any_of(config_.inject.begin(), config_.inject.end(), here))
      device_.each(pass.on, 1,
                   inject_bad_gradient{as<bad_gradient>(bad_.bytes()).data(),
                                       static_cast<std::int64_t>(config_.inject.size()), pass.stage,
                                       t.iteration, microbatch, mine.data()},
                   nullptr);
    auto* const unfit = as<std::int64_t>(own.sums.bytes()).data();
    device_.each(pass.on, lanes,
                 accumulate_gradient{mine.data(), static_cast<std::int64_t>(mine.size()), lanes,
                                     at<std::int64_t>(r, gradient), unfit},
                 t.condition);
    device_.each(pass.on, 1, raise_flag{summed(pass.on, unfit), at<std::int64_t>(r, flag)},
                 t.condition);
  }

  void gradient_norm(shunt::rank_id r, shunt::stream_task const& t,
                     stream_ref on) {  // reads: gradient, flag; writes: share of the verdict
    auto* const squares = as<double>(workers_[r.index()].sums.bytes()).data();
    device_.each(on, lanes,
                 square_gradient{at<std::int64_t>(r, t.reads[0]),
                                 static_cast<std::int64_t>(config_.model.parameters(stage_of(r))),
                                 lanes, config_.job.total_microbatches(), squares},
                 nullptr);
    device_.each(on, 1,
                 share_norms{summed(on, squares), at<std::int64_t>(r, t.reads[1]),
                             at<shunt::gradient_norms>(r, t.writes[0])},
                 t.condition);
  }

  /// Where the sum of all lanes will stand.
  template <class T>
  [[nodiscard]] T const* summed(stream_ref on, T* of_lanes) {
    T* const some = of_lanes + lanes;
    T* const whole = some + neighbours;
    device_.each(on, neighbours, sum_neighbours<T>{of_lanes, neighbours, some}, nullptr);
    device_.each(on, 1, sum_neighbours<T>{some, neighbours, whole}, nullptr);
    return whole;
  }

  void step(shunt::rank_id r, shunt::stream_task const& t,
            stream_ref on) {  // reads: gradient, flag or verdict so far, state
    if (t.reads[1].size ==
        shunt::gradient_norms::bytes)  // writes: state and, with a verdict, record
      device_.each(on, 1,
                   decide_validated_step{rule(), t.iteration,
                                         at<shunt::gradient_norms>(r, t.reads[1]),
                                         config_.job.stages, at<shunt::step_record>(r, t.writes[1]),
                                         steps_of(r), notes_of(r)},
                   t.condition);
    else
      device_.each(on, 1,
                   decide_step{rule(), t.iteration, at<std::int64_t>(r, t.reads[1]), notes_of(r)},
                   t.condition);
    optimise(r, t, on);
  }

  /// The step that the notes ask for.
  void optimise(shunt::rank_id r, shunt::stream_task const& t, stream_ref on) {
    auto const size = static_cast<std::int64_t>(config_.model.parameters(stage_of(r)));
    auto* const state = at<float>(r, {shunt::pipeline_buffers::state(), 0, 0});
    auto* const notes = notes_of(r);
    shunt::adam_step<std::int64_t> const update{
        .rule = rule().adam,
        .elements = size,
        .state = {state, state + size, state + 2 * size},
        .gradient = at<std::int64_t>(r, t.reads[0]),
        .unit = fixed_point::one * static_cast<double>(config_.job.total_microbatches()),
        .clock = &notes->clock,
        .scale = &notes->scale,
        .condition = &notes->act};
    device_.each(on, update.items(), update, t.condition);
  }

  config const config_;
  Device& device_;
  window_choice const choice_;
  memory text_, bad_, losses_;  // losses: iterations x micro-batches of all pipelines
  std::vector<worker> workers_{};
};

}  // namespace example
