#pragma once
#include "shunt/train/policy_run.hpp"

namespace shunt {

template <rearrangeable_trainee Work, training_policy Policy>
std::optional<program> pipeline_run<Work, Policy>::plan_without(std::span<rank_id const> dead) {
  next_part_.reset();
  reason_ = {};
  bool const whole = !lacks(now_, dead), ended = began_ && next_ >= stop_;
  if (whole && !(now_.interim && ended)) return *plan_.iteration;
  if (began_ && !ended) interrupted_ = std::max(interrupted_.value_or(next_), next_);
  if (every_ > 0 && began_ && next_ > kept_at_) {
    goes_back_ = true;
    return std::nullopt;
  }
  auto answer = policy_(situation{training_.job, now_, dead});
  reason_ = answer.reason;
  if (!answer.has_plan()) return std::nullopt;
  if (!find_parts(std::move(answer.plan), dead)) return std::nullopt;
  work_.fit(*next_part_->plan.iteration);
  return *next_part_->plan.iteration;
}

template <rearrangeable_trainee Work, training_policy Policy>
bool pipeline_run<Work, Policy>::find_parts(arrangement next, std::span<rank_id const> dead) {
  validate(next, training_.job, dead);
  auto const ranks = training_.job.ranks();
  auto const& tensors = work_.tensors();
  next_part part{.before = stages_held(now_, ranks, dead), .after = stages_held(next, ranks)};
  part.copies = copies_between(part.before, part.after, training_.job.transfer.ranks_per_node);
  if (auto const lost = stage_without_holder(part.before, training_.job.stages)) {
    reason_ = without_state(*lost);
    return false;
  }
  auto& change = part.change;
  for (layer_copy const& c : part.copies) {
    change.copies += std::ssize(c.to);
    change.bytes += tensors.state[c.layer.value()] * std::ssize(c.to);
  }
  change.dead.assign(dead.begin(), dead.end());
  for (rank_id const r : ids<rank_id>(ranks))
    if (part.after[r.index()].empty() && !std::binary_search(dead.begin(), dead.end(), r))
      change.waiting.push_back(r);
  part.plan = planned_for(next);
  change.next = std::move(next);
  next_part_ = std::move(part);
  return true;
}

template <rearrangeable_trainee Work, training_policy Policy>
std::optional<program> pipeline_run<Work, Policy>::prepare() {
  if (next_part_) {
    auto p = stage_copies{}(next_part_->before, next_part_->after, next_part_->copies,
                            work_.tensors().state);
    if (p.instructions() > 0) {
      work_.fit(p);
      return p;
    }
    arrive();
  }
  if (every_ > 0 && (kept_at_ < 0 || next_ % every_ == 0)) {
    work_.keep_checkpoint(next_);
    kept_ = now_;
    kept_at_ = next_;
  }
  began_ = true;
  return std::nullopt;
}

template <rearrangeable_trainee Work, training_policy Policy>
void pipeline_run<Work, Policy>::arrive() {
  auto part = std::move(*next_part_);
  next_part_.reset();
  work_.rearrange(part.after, part.change.next.job.microbatches, next_);
  work_.fit(*part.plan.iteration);
  now_ = part.change.next;
  plan_ = std::move(part.plan);
  part.change.iteration = next_;
  part.change.took = part.since.now();
  part.change.redone = interrupted_ ? *interrupted_ - next_ + 1 : 0;
  interrupted_.reset();
  began_ = false;
  changes_.push_back(std::move(part.change));
  on_change(changes_.back(), plan_);
}

template <rearrangeable_trainee Work, training_policy Policy>
void pipeline_run<Work, Policy>::go_back() {
  goes_back_ = began_ = false;
  work_.return_to_checkpoint();
  now_ = kept_;
  std::erase_if(iterations_, [&](auto const& i) { return i.iteration >= kept_at_; });
}

template <rearrangeable_trainee Work, training_policy Policy>
void pipeline_run<Work, Policy>::complete(completed_iteration const& c) {
  next_ = c.iteration + 1;
  iterations_.push_back({.iteration = c.iteration,
                         .loss = work_.loss(c.iteration),
                         .live = training_.job.ranks() - static_cast<std::int32_t>(c.dead.size()),
                         .planned = plan_.period,
                         .took = c.took});
  on_iteration(iterations_.back());
}

}  // namespace shunt
