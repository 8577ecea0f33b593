#pragma once
#include "shunt/train/pipeline_work.hpp"

namespace shunt {

template <pipeline_model Model, optimizer Optimizer>
pipeline_work<Model, Optimizer>::pipeline_work(Model model, pipeline_training training,
                                               Optimizer optimizer)
    : model_(std::move(model)),
      training_(std::move(training)),
      optimizer_(std::move(optimizer)),
      stages_(stage_table::of(model_, training_)),
      microbatches_(training_.job.microbatches),
      losses_(static_cast<std::size_t>(training_.iterations * terms()),
              std::numeric_limits<double>::quiet_NaN()),
      memory_(static_cast<std::size_t>(training_.job.ranks()), training_.only),
      ranks_(static_cast<std::size_t>(training_.job.ranks())) {
  if (training_.rollback == rollback::inverse && !invertible_optimizer<Optimizer>)
    throw invalid_problem("rollback", "the optimizer can't revert a step");
  auto const& job = training_.job;
  auto const all_tensors = tensors();
  memory_.fit(stages_.persistent_buffers(training_, Optimizer::moments));
  for (rank_id const r : ids<rank_id>(job.ranks())) {
    if (!memory_.has(r)) continue;
    for (auto const& s : stages_of(job, all_tensors, r)) {
      held_stage own{.stage = s.stage, .chunk = s.chunk};
      own.scratch.resize(static_cast<std::size_t>(stages_.sizes[s.stage.index()].parameters));
      if (training_.validates()) own.steps.resize(static_cast<std::size_t>(training_.iterations));
      model_.initialise(s.stage, state_of(r, own).parameters);
      ranks_[r.index()].stages.push_back(std::move(own));
    }
  }
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::operator()(rank_id r, task const& t) {
  auto const microbatch = microbatches_.before(t.op.pipeline) + t.op.microbatch.value();
  switch (t.op.kind) {
    case op_kind::forward:
    case op_kind::redundant_forward: return forward(r, t, microbatch);
    case op_kind::backward_input:
      return backward_input(r, t, operands_of<backward_input_operands>(t), microbatch);
    case op_kind::backward_weight:
      return backward_weight(r, t, operands_of<backward_weight_operands>(t), microbatch);
    case op_kind::backward: {
      auto const on = operands_of<backward_operands>(t);
      backward_input(r, t, on.of_input(), microbatch);
      return backward_weight(r, t, on.of_weight(), microbatch);
    }
    case op_kind::gradient_norm: return gradient_norm(r, t);
    case op_kind::validate_step: return validate_step(r, t);
    case op_kind::redo_step: return redo_step(r, t);
    case op_kind::step:
      return validated_step_operands::match(t.writes) ? validated_step(r, t) : step(r, t);
    default:
      throw invalid_program("a pipeline has no operation " + std::string(to_string(t.op.kind)));
  }
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::restore(rank_id r, std::int64_t iteration) {
  auto& own = ranks_[r.index()];
  bool restored = false;
  for (held_stage& s : own.stages) {
    if (s.steps_made <= iteration) continue;
    if (s.steps_made != iteration + 1)
      throw std::logic_error("rank " + std::to_string(r.value()) + " is " +
                             std::to_string(s.steps_made - iteration) +
                             " steps ahead, one can be taken back");
    memory_(r, buffers::state(s.chunk)) = memory_(r, buffers::kept(s.chunk));
    s.steps_made = iteration;
    if (s.overflow == iteration) s.overflow.reset();
    restored = true;
  }
  own.restored += restored;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::replace(rank_id r, std::int64_t iteration) {
  if (!memory_.has(r)) return;
  memory_.forget(r);
  for (held_stage& s : ranks_[r.index()].stages) s.steps_made = iteration;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::hold(rank_id r, std::vector<stage_id> const& stages,
                                           std::vector<aligned_bytes> states,
                                           std::int64_t iteration) {
  auto& own = ranks_[r.index()];
  own.overflow = overflow_of(r);
  own.stages.clear();
  program p;
  p.ranks.resize(ranks_.size());
  auto& declared = p.ranks[r].buffers;
  declared.resize(4 * stages.size());
  for (stage_id const s : stages) {
    held_stage next{.stage = s, .chunk = static_cast<std::int32_t>(own.stages.size())};
    next.scratch.resize(static_cast<std::size_t>(stages_.sizes[s.index()].parameters));
    next.steps_made = iteration;
    for (auto const b : {buffers::state(next.chunk), buffers::kept(next.chunk)})
      declared[b].size = static_cast<byte_count>(states[own.stages.size()].size());
    own.stages.push_back(std::move(next));
  }
  memory_.grow(p);
  for (std::size_t c = 0; c < states.size(); ++c)
    memory_(r, buffers::state(static_cast<std::int32_t>(c))) = std::move(states[c]);
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::rearrange(held_stages const& held,
                                                per_pipeline const& microbatches,
                                                std::int64_t iteration) {
  microbatches_ = microbatches;
  for (rank_id const r : ids<rank_id>(ranks_.size())) {
    auto const& next = held[r.index()];
    if (!memory_.has(r) || held_by(r) == next) continue;
    auto const before = static_cast<std::int32_t>(ranks_[r.index()].stages.size());
    std::vector<aligned_bytes> states;
    for (std::size_t c = 0; c < next.size(); ++c)
      states.push_back(
          std::move(memory_(r, stage_copies::arriving(static_cast<std::int32_t>(c), before))));
    hold(r, next, std::move(states), iteration);
  }
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::begin(held_stages const& held,
                                            per_pipeline const& microbatches) {
  microbatches_ = microbatches;
  auto const sizes = tensors().state;
  for (rank_id const r : ids<rank_id>(ranks_.size())) {
    auto const& next = held[r.index()];
    auto const before = held_by(r);
    if (!memory_.has(r) || before == next) continue;
    for (held_stage const& own : ranks_[r.index()].stages)
      if (own.steps_made > 0)
        throw std::logic_error("rank " + std::to_string(r.value()) + " has stepped already");
    std::vector<aligned_bytes> states;
    for (stage_id const s : next) {
      bool const there = std::find(before.begin(), before.end(), s) != before.end();
      states.push_back(there ? std::move(memory_(r, buffers::state(this->held(r, s).chunk)))
                             : aligned_bytes(static_cast<std::size_t>(sizes[s])));
    }
    hold(r, next, std::move(states), 0);
    for (held_stage const& own : ranks_[r.index()].stages)
      if (std::find(before.begin(), before.end(), own.stage) == before.end())
        model_.initialise(own.stage, state_of(r, own).parameters);
  }
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::keep_checkpoint(std::int64_t iteration) {
  kept_ = {.iteration = iteration,
           .microbatches = microbatches_,
           .held = held_stages(ranks_.size()),
           .states = std::vector<std::vector<aligned_bytes>>(ranks_.size())};
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    for (held_stage const& s : ranks_[r.index()].stages) {
      kept_.held[r.index()].push_back(s.stage);
      kept_.states[r.index()].push_back(memory_(r, buffers::state(s.chunk)));
    }
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::return_to_checkpoint() {
  microbatches_ = kept_.microbatches;
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    if (memory_.has(r)) hold(r, kept_.held[r.index()], kept_.states[r.index()], kept_.iteration);
}

template <pipeline_model Model, optimizer Optimizer>
double pipeline_work<Model, Optimizer>::loss(std::int64_t iteration) const {
  double sum = 0;
  for (std::int64_t m = 0; m < terms(); ++m)
    sum += losses_[static_cast<std::size_t>(iteration * terms() + m)];
  return sum / static_cast<double>(terms());
}

template <pipeline_model Model, optimizer Optimizer>
std::optional<std::int64_t> pipeline_work<Model, Optimizer>::overflow_of(rank_id r) const {
  auto first = ranks_[r.index()].overflow;
  for (held_stage const& s : ranks_[r.index()].stages)
    if (s.overflow && (!first || *s.overflow < *first)) first = s.overflow;
  return first;
}

template <pipeline_model Model, optimizer Optimizer>
std::optional<step_overflow> pipeline_work<Model, Optimizer>::first_overflow() const {
  std::optional<step_overflow> first;
  for (rank_id const r : ids<rank_id>(ranks_.size()))
    if (auto const at = overflow_of(r); at && (!first || *at < first->iteration)) first = {r, *at};
  return first;
}

template <pipeline_model Model, optimizer Optimizer>
auto pipeline_work<Model, Optimizer>::held(rank_id r, stage_id s) -> held_stage& {
  for (held_stage& own : ranks_[r.index()].stages)
    if (own.stage == s) return own;
  throw invalid_program("rank " + std::to_string(r.value()) + " does not hold stage " +
                        std::to_string(s.value()));
}

template <pipeline_model Model, optimizer Optimizer>
auto pipeline_work<Model, Optimizer>::state_of(rank_id r, held_stage const& of)
    -> optimizer_memory {
  auto const all = as<float>(std::span<std::byte>(memory_(r, buffers::state(of.chunk))));
  auto const size = static_cast<std::size_t>(stages_.sizes[of.stage.index()].parameters);
  auto const moments = static_cast<std::size_t>(Optimizer::moments);
  return {all.first(size), all.subspan(size, moments * size)};  // a step's record may follow
}

template <pipeline_model Model, optimizer Optimizer>
template <class T>
std::span<T> pipeline_work<Model, Optimizer>::numbers(rank_id r, task const& t, region const& at,
                                                      char const* what, std::int64_t count) {
  if (at.size != count * static_cast<byte_count>(sizeof(T)))
    throw invalid_program(std::string(to_string(t.op.kind)) + " of stage " +
                          std::to_string(t.op.stage.value()) + ": " + what + " has " +
                          std::to_string(at.size) + " bytes, the model says " +
                          std::to_string(count * static_cast<byte_count>(sizeof(T))));
  return as<T>(memory_(r, at));
}

template <pipeline_model Model, optimizer Optimizer>
template <class T>
T pipeline_work<Model, Optimizer>::load(rank_id r, region const& at) {
  T value;
  std::memcpy(&value, memory_(r, at).data(), sizeof value);
  return value;
}

template <pipeline_model Model, optimizer Optimizer>
template <class T>
void pipeline_work<Model, Optimizer>::store(rank_id r, region const& at, T const& value) {
  std::memcpy(memory_(r, at).data(), &value, sizeof value);
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::forward(rank_id r, task const& t, std::int64_t microbatch) {
  auto const on = operands_of<forward_operands>(t);
  stage_id const s = t.op.stage;
  auto const& size = stages_.sizes[s.index()];
  auto const before = stages_.input(s);
  double const loss =
      model_.forward({s, t.iteration, microbatch, state_of(r, held(r, s)).parameters,
                      numbers<float>(r, t, on.input, "input", before),
                      numbers<float>(r, t, on.output, "output", size.output),
                      numbers<float>(r, t, on.stash, "stash", size.stash)});
  if (is_last(s) && t.op.kind == op_kind::forward) *loss_of(t.iteration, microbatch) = loss;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::backward_input(rank_id r, task const& t,
                                                     backward_input_operands const& on,
                                                     std::int64_t microbatch) {
  stage_id const s = t.op.stage;
  auto const& size = stages_.sizes[s.index()];
  auto const before = stages_.input(s);
  model_.backward_input({s, t.iteration, microbatch, state_of(r, held(r, s)).parameters,
                         numbers<float>(r, t, on.input, "input", before),
                         numbers<float>(r, t, on.stash, "stash", size.stash),
                         numbers<float>(r, t, on.output_gradient, "output's gradient", size.output),
                         numbers<float>(r, t, on.input_gradient, "input's gradient", before)});
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::backward_weight(rank_id r, task const& t,
                                                      backward_weight_operands const& on,
                                                      std::int64_t microbatch) {
  stage_id const s = t.op.stage;
  auto& own = held(r, s);
  auto const& size = stages_.sizes[s.index()];
  auto const before = stages_.input(s);
  model_.backward_weight(
      {s, t.iteration, microbatch, state_of(r, own).parameters,
       numbers<float>(r, t, on.input, "input", before),
       numbers<float>(r, t, on.stash, "stash", size.stash),
       numbers<float>(r, t, on.output_gradient, "output's gradient", size.output), own.scratch});
  auto const sum = numbers<std::byte>(r, t, on.gradient, "gradient",
                                      size.parameters * size_of(training_.gradient_type));
  auto const flag = as<std::int64_t>(memory_(r, on.flag));
  flag[0] += add_gradient(training_.gradient_type, own.scratch, sum);
  if (says_losses(own))  // one rank does, all others leave zero
    flag[1 + static_cast<std::size_t>(microbatch)] =
        std::bit_cast<std::int64_t>(*loss_of(t.iteration, microbatch));
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::gradient_norm(rank_id r, task const& t) {
  auto const on = operands_of<gradient_norm_operands>(t);
  auto& own = held(r, t.op.stage);
  hear_losses(r, own, t.iteration, on.flag);
  gradient_norms part{.stages = 1};
  part.not_finite =
      static_cast<double>(take_mean(r, own, on.gradient) + load<std::int64_t>(r, on.flag));
  for (float const value : own.scratch) {
    double const g = static_cast<double>(value);
    part.squares += g * g;
  }
  store(r, on.norms, part);
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::step(rank_id r, task const& t) {
  auto const on = operands_of<step_operands>(t);
  auto& own = held(r, t.op.stage);
  hear_losses(r, own, t.iteration, on.flag);
  bool const sound = load<std::int64_t>(r, on.flag) == 0 && take_mean(r, own, on.gradient) == 0;
  if (sound) {
    auto const state = state_of(r, own);
    optimizer_(state.parameters, state.moments, own.scratch, t.iteration + 1);
  } else if (!own.overflow) {
    own.overflow = t.iteration;
  }
  own.steps_made = t.iteration + 1;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::validated_step(rank_id r, task const& t) {
  auto const on = operands_of<validated_step_operands>(t);
  auto& own = held(r, t.op.stage);
  auto const norms = load<gradient_norms>(r, on.norms);
  own.has_stepped = stands(norms);
  if (norms.stages == training_.job.stages || own.has_stepped)
    step_on(r, own, t.iteration, on.gradient, norms, false);
  store(r, on.record, step_record{norms, 1});
  own.steps_made = t.iteration + 1;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::validate_step(rank_id r, task const& t) {
  auto const on = operands_of<validate_step_operands>(t);
  bool const redo = !stands(load<gradient_norms>(r, on.norms));
  bool const pending = load<step_record>(r, on.record).pending != 0;
  auto const words = as<std::int64_t>(memory_(r, on.words));
  words[0] = redo;
  words[1] = redo && pending;
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::redo_step(rank_id r, task const& t) {
  auto const on = operands_of<redo_step_operands>(t);
  auto& own = held(r, t.op.stage);
  auto record = load<step_record>(r, on.record);
  record.pending = 0;
  if constexpr (invertible_optimizer<Optimizer>) {
    if (training_.rollback == rollback::inverse && own.has_stepped) {
      auto const state = state_of(r, own);
      static_cast<void>(take_mean(r, own, on.gradient));
      optimizer_.revert(state.parameters, state.moments, own.scratch, t.iteration);
    }
  }
  step_on(r, own, t.iteration - 1, on.gradient, load<gradient_norms>(r, on.norms), own.has_stepped);
  store(r, on.record, record);
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::hear_losses(rank_id r, held_stage const& of,
                                                  std::int64_t iteration, region const& flag) {
  if (!says_losses(of)) return;
  auto const words = as<std::int64_t>(memory_(r, flag));
  for (std::int64_t m = 0; m < terms(); ++m)
    *loss_of(iteration, m) = std::bit_cast<double>(words[1 + static_cast<std::size_t>(m)]);
}

template <pipeline_model Model, optimizer Optimizer>
std::int64_t pipeline_work<Model, Optimizer>::take_mean(rank_id r, held_stage& of,
                                                        region const& gradient) {
  if (gradient.size !=
      static_cast<byte_count>(of.scratch.size()) * size_of(training_.gradient_type))
    throw invalid_program("the gradient of stage " + std::to_string(of.stage.value()) + " has " +
                          std::to_string(gradient.size) + " bytes");
  return mean_gradient(training_.gradient_type, memory_(r, gradient), terms(), of.scratch);
}

template <pipeline_model Model, optimizer Optimizer>
void pipeline_work<Model, Optimizer>::step_on(rank_id r, held_stage& of, std::int64_t iteration,
                                              region const& gradient, gradient_norms const& norms,
                                              bool taken_back) {
  double const scale = training_.clip ? norms.coefficient(*training_.clip) : 1;
  of.steps[static_cast<std::size_t>(iteration)] = {std::sqrt(norms.squares), !norms.finite(),
                                                   norms.finite() && scale < 1, taken_back};
  if (!norms.finite()) return;
  static_cast<void>(take_mean(r, of, gradient));
  for (float& g : of.scratch) g *= static_cast<float>(scale);
  auto const state = state_of(r, of);
  optimizer_(state.parameters, state.moments, of.scratch, iteration + 1);
}

}  // namespace shunt
