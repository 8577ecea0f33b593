#pragma once
#include "shunt/plan/mismatch.hpp"

#include <cstddef>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {
namespace detail {

/// Reads the lists of a schedule once, rank by rank.
class schedule_reader {
 public:
  SHUNT_CONSTEXPR schedule_reader(pipeline_job const& job, pipeline_schedule const& schedule)
      : job_(job), schedule_(schedule), seen_(job.cells(), 0), forward_on_(seen_.size(), -1) {}

  SHUNT_CONSTEXPR text first_mismatch(extent wanted) {
    auto const ranks = static_cast<std::size_t>(job_.ranks());
    auto const& [order, staggered, pairs] = schedule_;
    if (order.size() != ranks) return lists(order.size(), "of operations");
    if (!pairs.empty() && pairs.size() != ranks) return lists(pairs.size(), "of pairs");
    for (rank_id const r : ids<rank_id>(ranks)) {
      if (auto wrong = read(r, wanted); !wrong.empty()) return wrong;
      if (pairs.empty()) continue;
      if (auto wrong = read_pairs(r); !wrong.empty()) return wrong;
    }
    return wanted == extent::whole ? missing() : text();
  }

 private:
  static constexpr std::uint8_t forward = 1, gradient = 2, weight = 4;
  static constexpr std::uint8_t not_held = 0, held = 1, stepped = 2;

  static SHUNT_CONSTEXPR text of_rank(rank_id r) { return text("rank ") + text::of(r.value()); }

  SHUNT_CONSTEXPR text lists(std::size_t there, char const* what) const {
    return text::of(static_cast<std::int64_t>(there)) + " lists " + what + " for " +
           text::of(job_.ranks()) + " ranks";
  }

  [[nodiscard]] SHUNT_CONSTEXPR std::size_t cell(operation const& o) const {
    return job_.cell(o.pipeline, o.stage, o.microbatch);
  }
  [[nodiscard]] SHUNT_CONSTEXPR bool known(operation const& o) const {
    auto const below = [](auto id, std::int32_t end) {
      return id.value() >= 0 && id.value() < end;
    };
    if (o.kind > op_kind::step || !below(o.stage, job_.stages)) return false;
    if (o.kind == op_kind::step) return o.pipeline == 0 && o.microbatch == 0;
    return below(o.pipeline, job_.pipelines) && below(o.microbatch, job_.microbatches[o.pipeline]);
  }

  SHUNT_CONSTEXPR text read(rank_id r, extent wanted) {
    auto const& list = schedule_.order[r];
    if (!list.empty() && !job_.alive(r))
      return of_rank(r) + " is dead and its list has " +
             text::of(static_cast<std::int64_t>(list.size())) + " operations";
    std::vector<std::uint8_t> stage(static_cast<std::size_t>(job_.stages), not_held);
    auto const stages = job_.stages_of(r);
    for (stage_id const s : stages) stage[s.index()] = held;
    for (std::size_t i = 0; i < list.size(); ++i)
      if (char const* const wrong = enter(r, list[i], stage, wanted))
        return of_rank(r) + ", operation " + text::of(static_cast<std::int64_t>(i)) + ": " +
               describe(list[i]) + " " + wrong;
    if (wanted == extent::whole && job_.alive(r))
      for (stage_id const s : stages)
        if (stage[s.index()] != stepped)
          return of_rank(r) + " does not step stage " + text::of(s.value());
    return {};
  }

  [[nodiscard]] SHUNT_CONSTEXPR text read_pairs(rank_id r) const {
    auto const& list = schedule_.order[r];
    std::int64_t free = 0;  // end of the previous pair
    for (std::int32_t const i : schedule_.overlapped[r]) {
      if (i < free || static_cast<std::size_t>(i) + 1 >= list.size())
        return of_rank(r) + ": the pair at " + text::of(i) +
               " is not in its list, or not behind the pair before it";
      operation const &first = list[static_cast<std::size_t>(i)],
                      &second = list[static_cast<std::size_t>(i) + 1];
      if (!can_overlap(first, second))
        return of_rank(r) + ": the pair at " + text::of(i) + " is the " + describe(first) +
               " and the " + describe(second);
      free = i + std::int64_t{2};
    }
    return {};
  }
  /// Returns whether two operations are a forward and a gradient of two micro-batches.
  static SHUNT_CONSTEXPR bool can_overlap(operation const& a, operation const& b) {
    auto const makes_gradient = [](operation const& o) {
      return o.kind == op_kind::backward || o.kind == op_kind::backward_input;
    };
    return ((a.kind == op_kind::forward && makes_gradient(b)) ||
            (makes_gradient(a) && b.kind == op_kind::forward)) &&
           (a.pipeline != b.pipeline || a.microbatch != b.microbatch);
  }

  /// Returns what is wrong with the next operation of a rank's list, or null.
  SHUNT_CONSTEXPR char const* enter(rank_id r, operation const& o, std::vector<std::uint8_t>& stage,
                                    extent wanted) {
    if (!known(o)) return "is not in the job";
    auto& own = stage[o.stage.index()];
    if (own == not_held) return "is of a stage that the rank does not hold";
    if (own == stepped)
      return o.kind == op_kind::step ? "stands twice" : "comes after the step of its stage";
    if (o.kind == op_kind::step) {
      own = stepped;
      return nullptr;
    }
    auto const c = cell(o);
    std::uint8_t const adds = o.kind == op_kind::forward           ? forward
                              : o.kind == op_kind::backward        ? gradient | weight
                              : o.kind == op_kind::backward_weight ? weight
                                                                   : gradient;
    if (seen_[c] & adds) return "stands twice";
    if (adds != forward && forward_on_[c] != r.value())
      return "has no forward before it in the list";
    if (adds == weight && wanted == extent::whole && !(seen_[c] & gradient))
      return "has no backward_input before it in the list";
    if (adds == forward) forward_on_[c] = r.value();
    seen_[c] |= adds;
    return nullptr;
  }

  [[nodiscard]] SHUNT_CONSTEXPR text missing() const {
    std::size_t c = 0;
    for (pipeline_id const p : ids<pipeline_id>(job_.pipelines))
      for (stage_id const s : ids<stage_id>(job_.stages))
        for (microbatch_id const m : ids<microbatch_id>(job_.microbatches[p])) {
          auto const there = seen_[c++];
          if (there == (forward | gradient | weight)) continue;
          auto const kind = !(there & forward)    ? op_kind::forward
                            : !(there & gradient) ? op_kind::backward
                                                  : op_kind::backward_weight;
          return describe({kind, p, s, m}) + " is missing";
        }
    return {};
  }

  pipeline_job const& job_;
  pipeline_schedule const& schedule_;
  std::vector<std::uint8_t> seen_;        // by worker and micro-batch
  std::vector<std::int32_t> forward_on_;  // likewise: the rank that computes the forward
};

}  // namespace detail

SHUNT_CONSTEXPR text mismatch(pipeline_job const& job, pipeline_schedule const& schedule,
                              extent wanted) {
  return detail::schedule_reader(job, schedule).first_mismatch(wanted);
}

SHUNT_CONSTEXPR text mismatch(pipeline_schedule const& schedule, timetable const& table) {
  auto const number = [](std::size_t n) { return text::of(static_cast<std::int64_t>(n)); };
  auto const ranks = schedule.order.size();
  if (table.times.size() != ranks)
    return number(table.times.size()) + " lists of times for " + number(ranks) + " ranks";
  for (rank_id const r : ids<rank_id>(ranks))
    if (auto const there = table.times[r].size(); there != schedule.order[r].size())
      return text("rank ") + text::of(r.value()) + " has " + number(there) + " times for " +
             number(schedule.order[r].size()) + " operations";
  return {};
}

SHUNT_CONSTEXPR text mismatch(expert_layers const& problem, expert_placement const& placement,
                              extent wanted) {
  auto const differ = [](char const* what, std::int64_t there, std::int64_t right) {
    return text("the placement has ") + text::of(there) + " " + what + ", the layers have " +
           text::of(right);
  };
  if (placement.layers != problem.layers) return differ("layers", placement.layers, problem.layers);
  if (placement.experts != problem.experts)
    return differ("experts", placement.experts, problem.experts);
  auto const ranks = problem.slots_per_rank.size();
  if (placement.first_slot.size() != ranks + 1)
    return differ("ranks", static_cast<std::int64_t>(placement.first_slot.size()) - 1,
                  static_cast<std::int64_t>(ranks));
  for (std::size_t r = 0; r < ranks; ++r)
    if (auto const slots = std::int64_t{placement.first_slot[r + 1]} - placement.first_slot[r];
        slots != problem.slots_per_rank[r])
      return text("rank ") + text::of(static_cast<std::int64_t>(r)) + " has " + text::of(slots) +
             " slots in the placement, " + text::of(problem.slots_per_rank[r]) + " in the layers";
  auto const width = static_cast<std::size_t>(problem.slots());
  if (auto const right = static_cast<std::size_t>(problem.layers) * width;
      placement.first_slot[0] != 0 || placement.expert_of.size() != right)
    return differ("slots in all", static_cast<std::int64_t>(placement.expert_of.size()),
                  static_cast<std::int64_t>(right));
  std::vector<std::uint8_t> placed;
  for (layer_id const l : ids<layer_id>(problem.layers)) {
    auto const in_layer = [&] { return text("layer ") + text::of(l.value()); };
    placed.assign(static_cast<std::size_t>(problem.experts), 0);
    auto const slots = placement.layer(l);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      if (wanted == extent::part && slots[s] == expert_id{-1}) continue;
      if (slots[s].value() < 0 || slots[s].value() >= problem.experts)
        return in_layer() + ", slot " + text::of(static_cast<std::int64_t>(s)) + " holds expert " +
               text::of(slots[s].value()) + " of " + text::of(problem.experts);
      placed[slots[s].index()] = 1;
    }
    if (wanted == extent::part) continue;
    for (std::size_t e = 0; e < placed.size(); ++e)
      if (!placed[e])
        return in_layer() + " has no slot for expert " + text::of(static_cast<std::int64_t>(e));
  }
  return {};
}

}  // namespace shunt
