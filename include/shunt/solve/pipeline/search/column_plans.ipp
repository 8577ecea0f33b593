#pragma once
#include "shunt/solve/pipeline/search/column_plans.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/solve/assignment.hpp"
#include "shunt/solve/pipeline/search/merged_stages.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zero_bubble.hpp"

namespace shunt::detail {

SHUNT_INLINE column_plans::column_plans(loss_survivors const& from, std::int64_t effort,
                                        std::int32_t candidates)
    : from_(from), effort_(effort), candidates_(candidates) {}

SHUNT_INLINE pipeline_job column_plans::job_of(column_block const& block) const {
  auto const& job = from_.losses.job;
  merged_borders borders{0};
  for (auto const& c : block.columns) borders.push_back(c.end);
  pipeline_job one{.pipelines = block.widest(),
                   .stages = static_cast<std::int32_t>(block.columns.size())};
  one.microbatches =
      per_pipeline(even_shares(block.microbatches, static_cast<std::size_t>(one.pipelines)));
  one.costs = {.forward = summed(job.costs.forward, borders),
               .backward_input = summed(job.costs.backward_input, borders),
               .backward_weight = summed(job.costs.backward_weight, borders),
               .step = summed(job.costs.step, borders)};
  auto const links = job.transfer.values();
  one.transfer = *std::max_element(links.begin(), links.end());
  one.stash = {.forward = summed(job.stash.forward, borders),
               .backward_input = summed(job.stash.backward_input, borders)};
  if (job.memory.rule == stash_cap::kind::one_f_one_b) one.memory = job.memory;
  if (from_.least_cap) one.memory = stash_cap::per_worker(*from_.least_cap);
  std::int32_t turn = 0;
  for (std::int32_t k = 0; k < one.stages; ++k)
    for (auto g = block.columns[static_cast<std::size_t>(k)].ranks; g < one.pipelines; ++g)
      one.dead.push_back({.pipeline = turn++ % one.pipelines, .stage = k});
  return one;
}

SHUNT_INLINE column_plans::block_plan const& column_plans::plan_of(column_block const& block) {
  auto const known = known_.find(block);
  if (known != known_.end()) return known->second;
  auto const job = job_of(block);
  auto const share = effort_ / 16;
  block_plan found;
  auto const keep = [&](solution<pipeline_schedule> answer) {
    if (!answer.has_plan() ||
        (found.period > 0 && answer.objective >= static_cast<double>(found.period)))
      return answer.status == status::optimal;
    found = {static_cast<ticks>(answer.objective), std::move(answer.plan)};
    return answer.status == status::optimal;
  };
  left_ -= std::int64_t{3} * block.microbatches * job.stages;
  if (!keep(slipstream{.effort = share}(job))) {
    left_ -= share;
    if (job.pipelines == 1) keep(zero_bubble{.stagger = true, .effort = share}(job));
  }
  return known_.emplace(block, std::move(found)).first->second;
}

SHUNT_INLINE std::vector<rank_id> column_plans::assigned(
    std::vector<block_column> const& roles) const {
  auto const stages = static_cast<std::size_t>(from_.losses.job.stages);
  bool const counted = std::any_of(ids<stage_id>(stages).begin(), ids<stage_id>(stages).end(),
                                   [&](stage_id s) { return from_.losses.state[s] > 0; });
  std::vector<std::int64_t> lacks;  // [live rank]: bytes that it lacks of the stages before each
  for (rank_id const r : from_.live) {
    lacks.push_back(0);
    for (stage_id const s : ids<stage_id>(stages))
      lacks.push_back(lacks.back() + (from_.held.has(r, s) ? 0
                                      : counted            ? from_.losses.state[s]
                                                           : 1));
  }
  auto const lacking = [&](std::size_t i, block_column const& of) {
    auto const* const row = lacks.data() + i * (stages + 1);
    return row[of.end] - row[of.first];
  };
  auto const n = from_.live.size();
  std::vector<rank_id> members(roles.size());
  if (n <= 128) {
    std::vector<std::int64_t> gains(n * n, 0);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t c = 0; c < roles.size(); ++c) gains[i * n + c] = -lacking(i, roles[c]);
    assignment solver;
    auto const columns = solver(gains, n);
    for (std::size_t i = 0; i < n; ++i)
      if (columns[i] < roles.size()) members[columns[i]] = from_.live[i];
    return members;
  }
  struct offer {
    std::int64_t bytes;
    std::size_t kind, rank;
    auto operator<=>(offer const&) const = default;
  };
  std::map<std::pair<std::int32_t, std::int32_t>, std::vector<std::size_t>> kinds;
  for (std::size_t c = roles.size(); c-- > 0;) kinds[{roles[c].first, roles[c].end}].push_back(c);
  std::vector<std::vector<std::size_t>> open;
  std::vector<offer> offers;
  for (auto& [stage_range, free] : kinds) {
    for (std::size_t i = 0; i < n; ++i)
      offers.push_back(
          {lacking(i, {.first = stage_range.first, .end = stage_range.second}), open.size(), i});
    open.push_back(std::move(free));
  }
  std::sort(offers.begin(), offers.end());
  std::vector<char> taken(n, 0);
  for (auto const& o : offers) {
    if (taken[o.rank] || open[o.kind].empty()) continue;
    taken[o.rank] = 1;
    members[open[o.kind].back()] = from_.live[o.rank];
    open[o.kind].pop_back();
  }
  return members;
}

// The backward_weights that end a list, stage by stage: low stages, whose other ranks may begin the
// next iteration before this one does, are then reduced while the deep ones go on.
SHUNT_INLINE void step_early(std::vector<operation>& list) {
  auto first = list.end();
  while (first != list.begin() && std::prev(first)->kind == op_kind::backward_weight) --first;
  std::sort(first, list.end(), [](operation const& a, operation const& b) {
    return std::tie(a.stage, a.pipeline, a.microbatch) <
           std::tie(b.stage, b.pipeline, b.microbatch);
  });
}

SHUNT_INLINE loss_plan column_plans::joined(std::vector<column_block> const& blocks,
                                            std::vector<std::int32_t> const& borders, bool assign) {
  auto const& job = from_.losses.job;
  auto const stages = static_cast<std::int32_t>(borders.size()) - 1;
  loss_plan plan{.job = job};
  auto const index = [&](std::int32_t border) {
    return static_cast<std::int32_t>(std::lower_bound(borders.begin(), borders.end(), border) -
                                     borders.begin());
  };
  std::vector<block_column> roles;
  std::vector<rank_id> layout;
  std::vector<std::int32_t> microbatches;
  auto& order = plan.schedule.order;
  plan.schedule.staggered_step = true;
  for (auto const& block : blocks) {
    auto const one = job_of(block);
    auto const& schedule = plan_of(block).schedule;
    auto const base = static_cast<std::int32_t>(microbatches.size());
    for (pipeline_id const p : ids<pipeline_id>(one.pipelines))
      microbatches.push_back(one.microbatches[p]);
    layout.resize(microbatches.size() * static_cast<std::size_t>(stages));
    for (std::int32_t k = 0; k < one.stages; ++k) {
      auto const& column = block.columns[static_cast<std::size_t>(k)];
      auto const first = index(column.first), end = index(column.end);
      auto const base_rank = static_cast<std::int32_t>(roles.size());
      std::int32_t place = 0;
      for (std::int32_t d = 0; d < one.pipelines; ++d) {
        bool const alive = std::find(one.dead.begin(), one.dead.end(),
                                     worker{.pipeline = d, .stage = k}) == one.dead.end();
        rank_id const holder = base_rank + (alive ? place : d % column.ranks);
        for (auto s = first; s < end; ++s)
          layout[static_cast<std::size_t>(base + d) * static_cast<std::size_t>(stages) +
                 static_cast<std::size_t>(s)] = holder;
        if (!alive) continue;
        ++place;
        roles.push_back(column);
        order.push_back({});
        auto& list = order[order.size() - 1];
        for (operation o : schedule.order[d * one.stages + k]) {
          if (o.kind == op_kind::step) continue;
          o.pipeline = base + o.pipeline.value();
          append_spread(list, o, first, end);
        }
        step_early(list);
        for (auto s = first; s < end; ++s) list.push_back({.kind = op_kind::step, .stage = s});
      }
    }
  }
  plan.members =
      assign ? assigned(roles)
             : std::vector<rank_id>(from_.live.begin(), from_.live.begin() + std::ssize(roles));
  plan.job.dead.clear();
  plan.job.pipelines = static_cast<std::int32_t>(microbatches.size());
  plan.job.microbatches = per_pipeline(std::move(microbatches));
  plan.job.layout = stage_layout::custom(std::move(layout));
  plan.job.memory = from_.caps_of(plan.members);
  plan.job.transfer = from_.links_of(plan.members);
  if (stages == job.stages) return plan;
  plan.job.stages = stages;
  plan.job.costs.forward = summed(job.costs.forward, borders);
  plan.job.costs.backward_input = summed(job.costs.backward_input, borders);
  plan.job.costs.backward_weight = summed(job.costs.backward_weight, borders);
  plan.job.costs.step = summed(job.costs.step, borders);
  plan.job.stash = {.forward = summed(job.stash.forward, borders),
                    .backward_input = summed(job.stash.backward_input, borders)};
  return plan;
}

SHUNT_INLINE loss_draft column_plans::best(bool chains) {
  auto const& job = from_.losses.job;
  loss_draft best;
  if (from_.losses.job.uneven()) {
    best.reason = "costs differ by worker or micro-batch";
    return best;
  }
  if (!chains && job.memory.rule == stash_cap::kind::one_f_one_b) {
    best.reason = "the cap of 1F1B is for stages with one rank in each pipeline";
    return best;
  }
  block_search search(from_.losses, static_cast<std::int32_t>(from_.live.size()), from_.least_cap);
  auto const least = search.least({.chains = chains});
  if (!least) {
    best.reason = "no cut into stages fits the ranks' memory";
    return best;
  }
  struct candidate {
    ticks period;
    std::vector<column_block> blocks;
  };
  std::vector<candidate> found;
  std::set<std::vector<column_block>> tried;
  constexpr ticks none = std::numeric_limits<ticks>::max();
  ticks shortest = none;
  ticks const by = std::max<ticks>(1, *least / 500);
  auto limit = *least;
  left_ = effort_ / 4;
  auto const goes_on = [&] {
    return tried.empty() || (left_ > 0 && limit < shortest && std::ssize(tried) < candidates_);
  };
  for (std::int32_t step = 0; step <= 2 * candidates_ && goes_on(); ++step, limit += by)
    for (bool const few : {false, true}) {
      if (!goes_on()) break;
      auto blocks = search.under(limit, {.chains = chains, .few = few});
      if (!tried.insert(blocks).second) continue;
      ticks longest = 0;
      for (auto const& b : blocks) {
        auto const p = plan_of(b).period;
        longest = p == 0 ? none : std::max(longest, p);
        if (longest == none) break;
      }
      if (longest == none) continue;
      shortest = std::min(shortest, longest);
      found.push_back({longest, std::move(blocks)});
    }
  if (found.empty()) {
    best.reason = "no order was found under the ranks' caps";
    return best;
  }
  std::sort(found.begin(), found.end(), [](candidate const& a, candidate const& b) {
    return std::tie(a.period, a.blocks) < std::tie(b.period, b.blocks);
  });
  std::vector<std::int32_t> every(static_cast<std::size_t>(job.stages) + 1);
  std::iota(every.begin(), every.end(), 0);
  for (std::size_t i = 0; i < found.size() && i < 3; ++i) {
    if (best.period > 0 && found[i].period >= best.period) break;
    auto const& blocks = found[i].blocks;
    loss_draft d;
    d.plan = joined(blocks, every, true);
    if (job.transfer.alike()) {
      // equal blocks run alike, and so do the stages between two borders
      auto unlike = blocks;
      unlike.erase(std::unique(unlike.begin(), unlike.end()), unlike.end());
      std::set<std::int32_t> borders;
      for (auto const& b : unlike)
        for (auto const& c : b.columns) borders.insert({c.first, c.end});
      auto const small = joined(unlike, {borders.begin(), borders.end()}, false);
      d.period = period(small.job, small.schedule);
    } else {
      d.period = period(d.plan.job, d.plan.schedule);
    }
    if (best.period == 0 || d.period < best.period) best = std::move(d);
  }
  return best;
}

}  // namespace shunt::detail
