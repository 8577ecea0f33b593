#pragma once
#include "shunt/train/stream_pipeline_work.hpp"

namespace shunt {

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
stream_pipeline_work<Device, Model>::stream_pipeline_work(Device& device, Model model,
                                                          pipeline_training training,
                                                          adam const& optimizer)
    : device_(device),
      model_(std::move(model)),
      training_(std::move(training)),
      optimizer_(optimizer),
      stages_(stage_table::of(model_, training_)),
      losses_(device_.memory(static_cast<std::size_t>(training_.iterations * terms()) *
                             sizeof(double))) {
  if (training_.only) throw invalid_problem("only", "workers on streams are all in one process");
  if (training_.rollback != rollback::kept_state)
    throw invalid_problem("rollback", "steps on streams go back to the kept state");
  if (training_.gradient_type != element::int64)
    throw invalid_problem("gradient_type", "on streams gradients are int64");
  std::vector<double> const unknown(static_cast<std::size_t>(training_.iterations * terms()),
                                    std::numeric_limits<double>::quiet_NaN());
  device_.write(std::as_bytes(std::span(unknown)), losses_.bytes());

  auto const persistent = stages_.persistent_buffers(training_, moments);
  auto const all_tensors = tensors();
  for (rank_id const r : ids<rank_id>(training_.job.ranks())) {
    std::int64_t most = 0;
    auto const held = stages_of(training_.job, all_tensors, r);
    for (auto const& s : held) most = std::max(most, size_of_stage(s.stage));
    ranks_.push_back(
        {.gradient = device_.memory(static_cast<std::size_t>(most) * sizeof(float)),
         .sums = device_.memory(static_cast<std::size_t>(lanes + neighbours + 1) * sizeof(double)),
         .scratch = device_.memory(model_.scratch_bytes()),
         .loss = device_.memory(sizeof(double))});
    auto& own = ranks_.back();
    for (buffer_info const& b : persistent.ranks[r].buffers)
      own.buffers.push_back(device_.memory(static_cast<std::size_t>(b.size)));
    for (auto const& s : held) {
      own.stages.push_back(
          {.stage = s.stage,
           .chunk = s.chunk,
           .notes = device_.memory(sizeof(step_notes)),
           .steps = device_.memory(training_.validates()
                                       ? static_cast<std::size_t>(training_.iterations) *
                                             sizeof(step_outcome)
                                       : 0)});
      store(own.stages.back().notes, step_notes{});
      std::vector<float, aligned_allocator<float>> initial(
          static_cast<std::size_t>(size_of_stage(s.stage)));
      model_.initialise(s.stage, initial);
      device_.write(std::as_bytes(std::span(initial)),
                    std::as_writable_bytes(parameters_of(r, own.stages.back())));
    }
  }
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::fit(program const& p) {
  device_.settle();
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& list = p.ranks[r];
    std::optional<std::uint8_t> lane;
    for (auto const& i : list.instructions)
      if (i.code == opcode::compute && lane.value_or(i.lane) != i.lane)
        throw invalid_program("rank " + std::to_string(r.value()) +
                              " computes on two lanes, its scratch memory is for one");
      else if (i.code == opcode::compute)
        lane = i.lane;
    auto& own = ranks_[r.index()].buffers;
    while (own.size() < list.buffers.size()) own.push_back(device_.memory(0));
    for (buffer_id const b : ids<buffer_id>(list.buffers.size())) {
      auto const before = own[b.index()].bytes();
      if (before.size() >= static_cast<std::size_t>(list.buffers[b].size)) continue;
      auto larger = device_.memory(static_cast<std::size_t>(list.buffers[b].size));
      device_.copy(before, larger.bytes().first(before.size()));
      own[b.index()] = std::move(larger);
    }
  }
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::operator()(rank_id r, stream_task const& t,
                                                     stream_ref on) {
  auto const microbatch = training_.job.number_of(t.op.pipeline, t.op.microbatch);
  auto& own = ranks_[r.index()];
  stream_place<Device> const place{device_, on, t.condition, own.scratch.bytes()};
  switch (t.op.kind) {
    case op_kind::forward:
    case op_kind::redundant_forward: {
      auto const o = operands_of<forward_operands>(t);
      bool const last = t.op.stage.value() + 1 == training_.job.stages;
      auto* const loss = last ? as<double>(own.loss.bytes()).data() : nullptr;
      model_.forward(place,
                     {t.op.stage, t.iteration, microbatch, parameters_of(r, held(r, t.op.stage)),
                      floats(r, o.input), floats(r, o.output), floats(r, o.stash)},
                     loss);
      if (last && t.op.kind == op_kind::forward)
        device_.each(
            on, 1,
            note_loss{loss, t.iteration, microbatch, terms(), as<double>(losses_.bytes()).data()},
            t.condition);
      return;
    }
    case op_kind::backward_input:
      return backward_input(place, r, t, operands_of<backward_input_operands>(t), microbatch);
    case op_kind::backward_weight:
      return backward_weight(place, r, t, operands_of<backward_weight_operands>(t), microbatch);
    case op_kind::backward: {
      auto const o = operands_of<backward_operands>(t);
      backward_input(place, r, t, o.of_input(), microbatch);
      return backward_weight(place, r, t, o.of_weight(), microbatch);
    }
    case op_kind::gradient_norm: return gradient_norm(r, t, on);
    case op_kind::step: return step(r, t, on);
    case op_kind::validate_step: {
      auto const o = operands_of<validate_step_operands>(t);
      return device_.each(on, 1,
                          check_step{rule(), at<gradient_norms>(r, o.norms),
                                     at<step_record>(r, o.record), at<std::int64_t>(r, o.words)},
                          t.condition);
    }
    case op_kind::redo_step: {
      auto const o = operands_of<redo_step_operands>(t);
      auto& of = held(r, t.op.stage);
      device_.each(on, 1,
                   decide_redo_step{rule(), t.iteration, at<gradient_norms>(r, o.norms),
                                    at<step_record>(r, o.record), steps_of(of), notes_of(of)},
                   t.condition);
      return optimise(r, t, of, o.gradient, on);
    }
    default:
      throw invalid_program("a pipeline has no operation " + std::string(to_string(t.op.kind)));
  }
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::restore(rank_id r, std::int64_t iteration) {
  device_.settle();
  bool restored = false;
  for (held_stage& s : ranks_[r.index()].stages) {
    auto notes = load<step_notes>(s.notes);
    if (notes.steps <= iteration) continue;
    if (notes.steps != iteration + 1)
      throw std::logic_error("rank " + std::to_string(r.value()) + " is " +
                             std::to_string(notes.steps - iteration) +
                             " steps ahead, one can be taken back");
    device_.copy(buffer(r, buffers::kept(s.chunk)), buffer(r, buffers::state(s.chunk)));
    notes.steps = iteration;
    if (notes.overflow == iteration) notes.overflow = step_notes::never;
    store(s.notes, notes);
    restored = true;
  }
  ranks_[r.index()].restored += restored;
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::replace(rank_id r, std::int64_t iteration) {
  device_.settle();
  auto& own = ranks_[r.index()];
  for (auto& b : own.buffers)
    device_.write(std::vector<std::byte>(b.bytes().size(), std::byte{0xff}), b.bytes());
  for (held_stage& s : own.stages) {
    auto notes = load<step_notes>(s.notes);
    notes.steps = iteration;
    store(s.notes, notes);
  }
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
double stream_pipeline_work<Device, Model>::loss(std::int64_t iteration) {
  auto const count = static_cast<std::size_t>(terms());
  std::vector<double> all(count);
  device_.read(losses_.bytes().subspan(static_cast<std::size_t>(iteration) * count * sizeof(double),
                                       count * sizeof(double)),
               std::as_writable_bytes(std::span(all)));
  double sum = 0;
  for (double const term : all) sum += term;
  return sum / static_cast<double>(count);
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
std::vector<float> stream_pipeline_work<Device, Model>::parameters(rank_id r, stage_id s) {
  std::vector<float> values(static_cast<std::size_t>(size_of_stage(s)));
  device_.read(std::as_bytes(parameters_of(r, held(r, s))),
               std::as_writable_bytes(std::span(values)));
  return values;
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
step_outcome stream_pipeline_work<Device, Model>::step_of(rank_id r, std::int64_t iteration) {
  return load<step_outcome>(ranks_[r.index()].stages.front().steps,
                            static_cast<std::size_t>(iteration));
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
std::optional<step_overflow> stream_pipeline_work<Device, Model>::first_overflow() {
  std::optional<step_overflow> first;
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    for (held_stage& s : ranks_[r.index()].stages)
      if (auto const at = load<step_notes>(s.notes).overflow;
          at != step_notes::never && (!first || at < first->iteration))
        first = {r, at};
  return first;
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
auto stream_pipeline_work<Device, Model>::held(rank_id r, stage_id s) -> held_stage& {
  for (held_stage& own : ranks_[r.index()].stages)
    if (own.stage == s) return own;
  throw invalid_program("rank " + std::to_string(r.value()) + " does not hold stage " +
                        std::to_string(s.value()));
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
template <class T>
T stream_pipeline_work<Device, Model>::load(memory& from, std::size_t index) {
  T value{};
  device_.read(from.bytes().subspan(index * sizeof value, sizeof value),
               std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
template <class T>
void stream_pipeline_work<Device, Model>::store(memory& to, T const& value) {
  device_.write(std::as_bytes(std::span(&value, 1)), to.bytes());
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::backward_input(stream_place<Device> const& place,
                                                         rank_id r, stream_task const& t,
                                                         backward_input_operands const& on,
                                                         std::int64_t microbatch) {
  model_.backward_input(place,
                        {t.op.stage, t.iteration, microbatch, parameters_of(r, held(r, t.op.stage)),
                         floats(r, on.input), floats(r, on.stash), floats(r, on.output_gradient),
                         floats(r, on.input_gradient)});
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::backward_weight(stream_place<Device> const& place,
                                                          rank_id r, stream_task const& t,
                                                          backward_weight_operands const& on,
                                                          std::int64_t microbatch) {
  auto& own = ranks_[r.index()];
  auto const size = size_of_stage(t.op.stage);
  auto const mine = as<float>(own.gradient.bytes()).first(static_cast<std::size_t>(size));
  model_.backward_weight(place, {t.op.stage, t.iteration, microbatch,
                                 parameters_of(r, held(r, t.op.stage)), floats(r, on.input),
                                 floats(r, on.stash), floats(r, on.output_gradient), mine});
  auto* const unfit = as<std::int64_t>(own.sums.bytes()).data();
  device_.each(
      place.on, lanes,
      accumulate_gradient{mine.data(), size, lanes, at<std::int64_t>(r, on.gradient), unfit},
      t.condition);
  device_.each(place.on, 1, raise_flag{summed(place.on, unfit), at<std::int64_t>(r, on.flag)},
               t.condition);
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::gradient_norm(rank_id r, stream_task const& t,
                                                        stream_ref on) {
  auto const o = operands_of<gradient_norm_operands>(t);
  auto* const squares = as<double>(ranks_[r.index()].sums.bytes()).data();
  device_.each(on, lanes,
               square_gradient{at<std::int64_t>(r, o.gradient), size_of_stage(t.op.stage), lanes,
                               terms(), squares},
               nullptr);
  device_.each(
      on, 1,
      note_norms{summed(on, squares), at<std::int64_t>(r, o.flag), at<gradient_norms>(r, o.norms)},
      t.condition);
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
template <class T>
T const* stream_pipeline_work<Device, Model>::summed(stream_ref on, T* of_lanes) {
  T* const some = of_lanes + lanes;
  T* const whole = some + neighbours;
  device_.each(on, neighbours, sum_neighbours<T>{of_lanes, neighbours, some}, nullptr);
  device_.each(on, 1, sum_neighbours<T>{some, neighbours, whole}, nullptr);
  return whole;
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::step(rank_id r, stream_task const& t, stream_ref on) {
  auto& of = held(r, t.op.stage);
  if (validated_step_operands::match(t.writes)) {
    auto const o = operands_of<validated_step_operands>(t);
    device_.each(on, 1,
                 decide_validated_step{rule(), t.iteration, at<gradient_norms>(r, o.norms),
                                       training_.job.stages, at<step_record>(r, o.record),
                                       steps_of(of), notes_of(of)},
                 t.condition);
    return optimise(r, t, of, o.gradient, on);
  }
  auto const o = operands_of<step_operands>(t);
  device_.each(on, 1, decide_step{rule(), t.iteration, at<std::int64_t>(r, o.flag), notes_of(of)},
               t.condition);
  optimise(r, t, of, o.gradient, on);
}

template <training_device Device, class Model>
  requires stream_pipeline_model<Model, Device>
void stream_pipeline_work<Device, Model>::optimise(rank_id r, stream_task const& t, held_stage& of,
                                                   region const& gradient, stream_ref on) {
  auto const size = size_of_stage(of.stage);
  auto* const state = parameters_of(r, of).data();
  auto const next = aligned(size * static_cast<byte_count>(sizeof(float))) /
                    static_cast<byte_count>(sizeof(float));  // kernels read several at once
  auto* const notes = notes_of(of);
  adam_step<std::int64_t> const update{.rule = rule().adam,
                                       .elements = size,
                                       .state = {state, state + next, state + 2 * next},
                                       .gradient = at<std::int64_t>(r, gradient),
                                       .unit = fixed_point::one * static_cast<double>(terms()),
                                       .clock = &notes->clock,
                                       .scale = &notes->scale,
                                       .condition = &notes->act};
  device_.each(on, update.items(), update, t.condition);
}

}  // namespace shunt
