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
    : from_(from),
      effort_(effort),
      candidates_(candidates),
      unlike_(from.costs.by_rank() || !from.losses.job.lengths.empty()) {
  find_kinds();
}

// Up to most_kinds kinds are told apart by all costs; of more, those between which the speed makes
// its largest steps. A kind is as slow at a stage as the slowest of its ranks.
SHUNT_INLINE void column_plans::find_kinds() {
  auto const& job = from_.losses.job;
  auto const ranks = static_cast<std::size_t>(job.ranks() + from_.losses.spares);
  row_of_.assign(ranks, 0);
  kind_of_.assign(ranks, 0);
  struct row {
    ticks all = 0;
    std::vector<rank_ticks> at{};
    auto operator<=>(row const&) const = default;
  };
  std::map<row, std::vector<rank_id>> rows;  // the fastest first
  for (rank_id const r : from_.live) {
    row own;
    if (from_.costs.by_rank() || rows.empty())
      for (stage_id const s : ids<stage_id>(job.stages)) {
        own.at.push_back(from_.costs.on(r, s));
        own.all += own.at.back().microbatch();
      }
    else
      own = rows.begin()->first;
    rows[std::move(own)].push_back(r);
  }
  std::vector<std::pair<double, std::size_t>> gaps;  // before each row but the first
  std::size_t number = 0;
  ticks before = 0;
  for (auto const& [own, members] : rows) {
    for (rank_id const r : members) row_of_[r.index()] = number;
    if (number > 0)
      gaps.emplace_back(-static_cast<double>(own.all) / static_cast<double>(before), number);
    before = own.all;
    ++number;
  }
  std::sort(gaps.begin(), gaps.end());
  if (gaps.size() >= most_kinds) gaps.resize(most_kinds - 1);
  std::vector<std::size_t> kind_of_row(rows.size(), 0);
  for (auto const& gap : gaps)
    for (auto k = gap.second; k < rows.size(); ++k) ++kind_of_row[k];
  kinds_.assign(gaps.size() + 1, {.at = std::vector<rank_ticks>(rows.begin()->first.at.size())});
  for (auto const& [own, members] : rows) {
    auto& kind = kinds_[kind_of_row[row_of_[members.front().index()]]];
    kind.ranks += static_cast<std::int32_t>(members.size());
    for (std::size_t s = 0; s < own.at.size(); ++s) {
      auto& most = kind.at[s];
      most = {std::max(most.forward, own.at[s].forward),
              std::max(most.backward_input, own.at[s].backward_input),
              std::max(most.backward_weight, own.at[s].backward_weight),
              std::max(most.step, own.at[s].step)};
    }
  }
  auto const common = static_cast<std::size_t>(
      std::max_element(kinds_.begin(), kinds_.end(),
                       [](auto const& a, auto const& b) { return a.ranks < b.ranks; }) -
      kinds_.begin());
  std::swap(kinds_[0], kinds_[common]);
  for (rank_id const r : from_.live) {
    auto const k = kind_of_row[row_of_[r.index()]];
    kind_of_[r.index()] = k == common ? 0 : k == 0 ? common : k;
  }
}

SHUNT_INLINE pipeline_job column_plans::job_of(column_block const& block,
                                               std::span<rank_id const> members) const {
  auto const& job = from_.losses.job;
  merged_borders borders{0};
  for (auto const& c : block.columns) borders.push_back(c.end);
  pipeline_job one{.pipelines = block.widest(),
                   .stages = static_cast<std::int32_t>(block.columns.size())};
  one.microbatches =
      per_pipeline(even_shares(block.microbatches, static_cast<std::size_t>(one.pipelines)));
  for (auto const n : block.numbers)
    one.lengths.push_back(job.lengths[static_cast<std::size_t>(n)]);
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
  std::vector<rank_id> workers(members.empty() ? 0 : static_cast<std::size_t>(one.workers()));
  for (std::int32_t k = 0, first = 0; k < one.stages && !members.empty(); ++k) {
    std::int32_t place = 0;
    for (std::int32_t d = 0; d < one.pipelines; ++d) {
      bool const alive = one.alive(worker{d, k});
      workers[static_cast<std::size_t>(d * one.stages + k)] =
          members[static_cast<std::size_t>(first + (alive ? place : 0))];
      place += alive;
    }
    first += place;
  }
  one.costs = from_.costs_of(workers, borders);
  one.costs.overlap_gain = 0;
  return one;
}

SHUNT_INLINE column_plans::block_plan const& column_plans::plan_of(
    column_block const& block, std::span<rank_id const> members) {
  std::pair<column_block, std::vector<std::size_t>> key(block, {});
  for (rank_id const r : members) key.second.push_back(row_of_[r.index()]);
  auto const known = known_.find(key);
  if (known != known_.end()) return known->second;
  auto const job = job_of(block, members);
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
  return known_.emplace(std::move(key), std::move(found)).first->second;
}

SHUNT_INLINE std::vector<column_plans::role> column_plans::roles_of(
    std::vector<column_block> const& blocks) const {
  std::vector<role> roles;
  for (auto const& block : blocks)
    for (auto const& c : block.columns) {
      auto common = c.ranks;
      for (auto const n : c.others) common -= n;
      roles.insert(roles.end(), static_cast<std::size_t>(common), {c.first, c.end, 0});
      for (std::size_t k = 0; k < c.others.size(); ++k)
        roles.insert(roles.end(), static_cast<std::size_t>(c.others[k]), {c.first, c.end, k + 1});
    }
  return roles;
}

SHUNT_INLINE column_plans::candidate column_plans::planned(std::vector<column_block> blocks) {
  candidate made{.blocks = std::move(blocks)};
  if (unlike_) made.members = assigned(roles_of(made.blocks));
  std::span<rank_id const> rest(made.members);
  for (auto const& block : made.blocks) {
    auto const own = rest.first(unlike_ ? static_cast<std::size_t>(block.ranks()) : 0);
    rest = rest.subspan(own.size());
    auto const period = plan_of(block, own).period;
    if (period == 0) return {.blocks = std::move(made.blocks)};
    made.period = std::max(made.period, period);
  }
  return made;
}

SHUNT_INLINE std::vector<rank_id> column_plans::assigned(std::vector<role> const& roles) const {
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
  auto const lacking = [&](std::size_t i, role const& of) {
    auto const* const row = lacks.data() + i * (stages + 1);
    return row[of.end] - row[of.first];
  };
  auto const n = from_.live.size();
  std::vector<rank_id> members(roles.size());
  if (n <= 128) {
    // more than all ranks can lack, for a rank of another kind
    auto const never = std::accumulate(roles.begin(), roles.end(), std::int64_t{1},
                                       [&](std::int64_t sum, role const& of) {
                                         std::int64_t most = 0;
                                         for (std::size_t i = 0; i < n; ++i)
                                           most = std::max(most, lacking(i, of));
                                         return sum + most;
                                       });
    std::vector<std::int64_t> gains(n * n, 0);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t c = 0; c < roles.size(); ++c)
        gains[i * n + c] =
            kind_of_[from_.live[i].index()] == roles[c].kind ? -lacking(i, roles[c]) : -never;
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
  std::map<role, std::vector<std::size_t>> alike;
  for (std::size_t c = roles.size(); c-- > 0;) alike[roles[c]].push_back(c);
  std::vector<std::vector<std::size_t>> open;
  std::vector<offer> offers;
  for (auto& [of, free] : alike) {
    for (std::size_t i = 0; i < n; ++i)
      if (kind_of_[from_.live[i].index()] == of.kind)
        offers.push_back({lacking(i, of), open.size(), i});
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
                                            std::vector<std::int32_t> const& borders,
                                            std::vector<rank_id> members) {
  auto const& job = from_.losses.job;
  auto const stages = static_cast<std::int32_t>(borders.size()) - 1;
  loss_plan plan{.job = job, .members = std::move(members)};
  auto const index = [&](std::int32_t border) {
    return static_cast<std::int32_t>(std::lower_bound(borders.begin(), borders.end(), border) -
                                     borders.begin());
  };
  auto const members_of = [&](std::size_t first, column_block const& block) {
    return std::span<rank_id const>(plan.members)
        .subspan(first, unlike_ ? static_cast<std::size_t>(block.ranks()) : 0);
  };
  std::vector<std::int32_t> microbatches;
  for (auto const& block : blocks)
    for (auto const n : even_shares(block.microbatches, static_cast<std::size_t>(block.widest())))
      microbatches.push_back(n);
  auto const pipelines = static_cast<std::int32_t>(microbatches.size());
  plan.job.microbatches = per_pipeline(std::move(microbatches));
  auto const renumbered = [&](operation& o, std::int32_t number) {
    std::int32_t low = 0;  // the last pipeline that begins at or before it
    for (auto high = pipelines; high - low > 1;) {
      auto const middle = low + (high - low) / 2;
      (plan.job.microbatches.before(middle) <= number ? low : high) = middle;
    }
    o.pipeline = low;
    o.microbatch = number - plan.job.microbatches.before(low);
  };
  std::vector<rank_id> layout(static_cast<std::size_t>(pipelines) *
                              static_cast<std::size_t>(stages));
  auto& order = plan.schedule.order;
  plan.schedule.staggered_step = true;
  std::int32_t base = 0;  // pipelines of the blocks before
  for (auto const& block : blocks) {
    auto const own = members_of(order.size(), block);
    auto const one = job_of(block, own);
    auto const& schedule = plan_of(block, own).schedule;
    for (std::int32_t k = 0; k < one.stages; ++k) {
      auto const& column = block.columns[static_cast<std::size_t>(k)];
      auto const first = index(column.first), end = index(column.end);
      auto const base_rank = static_cast<std::int32_t>(order.size());
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
        order.push_back({});
        auto& list = order[order.size() - 1];
        for (operation o : schedule.order[d * one.stages + k]) {
          if (o.kind == op_kind::step) continue;
          if (block.numbers.empty())
            o.pipeline = base + o.pipeline.value();
          else
            renumbered(
                o,
                block.numbers[static_cast<std::size_t>(one.number_of(o.pipeline, o.microbatch))]);
          append_spread(list, o, first, end);
        }
        step_early(list);
        for (auto s = first; s < end; ++s) list.push_back({.kind = op_kind::step, .stage = s});
      }
    }
    base += one.pipelines;
  }
  plan.job.dead.clear();
  plan.job.pipelines = pipelines;
  plan.job.memory = from_.caps_of(plan.members);
  plan.job.transfer = from_.links_of(plan.members);
  std::vector<rank_id> workers;
  for (rank_id const r : layout) workers.push_back(plan.members[r.index()]);
  plan.job.layout = stage_layout::custom(std::move(layout));
  if (from_.costs.by_rank() || stages != job.stages)
    plan.job.costs = from_.costs_of(workers, borders);
  if (stages == job.stages) return plan;
  plan.job.stages = stages;
  plan.job.stash = {.forward = summed(job.stash.forward, borders),
                    .backward_input = summed(job.stash.backward_input, borders)};
  return plan;
}

SHUNT_INLINE loss_draft column_plans::best(bool chains) {
  auto const& job = from_.losses.job;
  loss_draft best;
  if (!chains && job.memory.rule == stash_cap::kind::one_f_one_b) {
    best.reason = "the cap of 1F1B is for stages with one rank in each pipeline";
    return best;
  }
  block_search search(from_.losses, kinds_, from_.least_cap);
  auto const least = search.least({.chains = chains});
  if (!least) {
    best.reason = "no cut into stages fits the ranks' memory";
    return best;
  }
  std::vector<candidate> found;
  std::set<std::vector<column_block>> tried;
  constexpr ticks none = std::numeric_limits<ticks>::max();
  ticks shortest = none;
  ticks const by = std::max<ticks>(1, *least / 500);
  auto limit = *least;
  left_ = unlike_ ? effort_ : effort_ / 4;
  auto const goes_on = [&] {
    return tried.empty() || (left_ > 0 && limit < shortest && std::ssize(tried) < candidates_);
  };
  for (std::int32_t step = 0; step <= 2 * candidates_ && goes_on(); ++step, limit += by)
    for (bool const few : {false, true}) {
      if (!goes_on()) break;
      auto blocks = search.under(limit, {.chains = chains, .few = few});
      if (!tried.insert(blocks).second) continue;
      auto made = planned(std::move(blocks));
      if (made.period == 0) continue;
      shortest = std::min(shortest, made.period);
      found.push_back(std::move(made));
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
    auto& [bound, blocks, members] = found[i];
    loss_draft d;
    d.plan = joined(blocks, every, unlike_ ? members : assigned(roles_of(blocks)));
    if (job.transfer.alike() && !unlike_) {
      // equal blocks run alike, and so do the stages between two borders
      auto unlike = blocks;
      unlike.erase(std::unique(unlike.begin(), unlike.end()), unlike.end());
      std::set<std::int32_t> borders;
      std::size_t ranks = 0;
      for (auto const& b : unlike) {
        for (auto const& c : b.columns) borders.insert({c.first, c.end});
        ranks += static_cast<std::size_t>(b.ranks());
      }
      auto const small =
          joined(unlike, {borders.begin(), borders.end()},
                 {from_.live.begin(), from_.live.begin() + static_cast<std::ptrdiff_t>(ranks)});
      d.period = period(small.job, small.schedule);
    } else {
      d.period = period(d.plan.job, d.plan.schedule);
    }
    if (best.period == 0 || d.period < best.period) best = std::move(d);
  }
  return best;
}

}  // namespace shunt::detail
