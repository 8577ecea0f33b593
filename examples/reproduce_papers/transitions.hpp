#pragma once
/// What a change of the live nodes moves over their links, by the plans before and after it.
///
/// The nodes of a testbed are lost one after the other. The plan after each loss says which layers
/// each node holds. A change from one number of live nodes to another moves what a node then holds
/// and did not hold before; a node that comes back holds nothing.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "best_moves.hpp"
#include "closed_forms.hpp"
#include "shunt/core/id.hpp"
#include "shunt/measure/trace_replay.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/assignment.hpp"
#include "shunt/solve/pipeline/normalize_failures.hpp"

namespace reproduce_papers {

/// Returns the layers of a range.
inline layer_set layers_of(std::int32_t first, std::int32_t end) {
  layer_set all;
  for (auto l = first; l < end; ++l) all.push_back(l);
  return all;
}

/// Returns the layers that the busiest node sends or receives. Each comes from the holder that
/// sends the least so far, then the first; one that no live node holds comes from a checkpoint.
/// `live` says which nodes of `before` are still there.
inline std::int64_t busiest_link(held_layers const& before, std::vector<bool> const& live,
                                 held_layers const& after) {
  auto const has = [](layer_set const& all, std::int32_t layer) {
    return std::binary_search(all.begin(), all.end(), layer);
  };
  std::vector<std::int64_t> sent(before.size(), 0), received(before.size(), 0);
  std::int32_t end = 0;
  for (auto const& all : after)
    if (!all.empty()) end = std::max(end, all.back() + 1);
  for (std::int32_t layer = 0; layer < end; ++layer)
    for (std::size_t to = 0; to < after.size(); ++to) {
      if (!has(after[to], layer) || (live[to] && has(before[to], layer))) continue;
      ++received[to];
      auto from = before.size();
      for (std::size_t n = 0; n < before.size(); ++n)
        if (live[n] && has(before[n], layer) && (from == before.size() || sent[n] < sent[from]))
          from = n;
      if (from < before.size()) ++sent[from];
    }
  return std::max(*std::max_element(sent.begin(), sent.end()),
                  *std::max_element(received.begin(), received.end()));
}

/// The layers that nodes hold by the number of lost ones, and what changes move. Each number is
/// asked for once; copies share what they know.
class node_states {
 public:
  /// What nodes hold after the given number of losses; all smaller numbers are known.
  using function =
      std::function<held_layers(std::int32_t lost, std::vector<held_layers> const& before)>;
  node_states(testbed const& t, function held)
      : nodes_(t.nodes()), held_(std::move(held)), known_(std::make_shared<known>()) {}

  held_layers const& after(std::int32_t lost) const {
    while (std::ssize(known_->held) <= lost) {
      auto next = held_(static_cast<std::int32_t>(known_->held.size()), known_->held);
      next.resize(static_cast<std::size_t>(nodes_));
      known_->held.push_back(std::move(next));
    }
    return known_->held[static_cast<std::size_t>(lost)];
  }

  /// Returns the layers over the busiest link, from so many live nodes, of which `kept` stay, to
  /// another number.
  std::int64_t moved(std::int32_t from, std::int32_t kept, std::int32_t to) const {
    from = std::min(from, nodes_), to = std::min(to, nodes_);
    kept = std::min({kept, from, to});
    auto const [found, missing] = known_->moved.try_emplace({from, kept, to}, 0);
    if (missing) {
      std::vector<bool> live;
      for (auto const& all : after(nodes_ - kept)) live.push_back(!all.empty());
      found->second = busiest_link(after(nodes_ - from), live, after(nodes_ - to));
    }
    return found->second;
  }

 private:
  struct known {
    std::vector<held_layers> held{};
    std::map<std::array<std::int32_t, 3>, std::int64_t> moved{};
  };
  std::int32_t nodes_;
  function held_;
  std::shared_ptr<known> known_;
};

/// Returns the nodes that hold layers, without the one that is lost next: every seventh.
inline std::vector<std::size_t> survivors(held_layers const& held) {
  std::vector<std::size_t> all;
  for (std::size_t n = 0; n < held.size(); ++n)
    if (!held[n].empty()) all.push_back(n);
  if (!all.empty())
    all.erase(all.begin() +
              static_cast<std::ptrdiff_t>(7 * (held.size() - all.size() + 1) % all.size()));
  return all;
}

/// SlipStream: re-routing moves nothing; a node that changes its stage to spread the losses
/// (shunt::normalize_failures) receives the stage.
inline node_states normalized_states(testbed const& t) {
  return {t, [t](std::int32_t lost, std::vector<held_layers> const& before) {
            auto const cut = shunt::even_cut(t.layers, t.stages);
            held_layers held(static_cast<std::size_t>(t.nodes()));
            auto const stage = [&](std::int32_t s) {
              auto const& range = cut[static_cast<std::size_t>(s)];
              return layers_of(range.first, range.end);
            };
            if (lost == 0) {
              for (std::size_t n = 0; n < held.size(); ++n)
                held[n] = stage(static_cast<std::int32_t>(n) % t.stages);
              return held;
            }
            // Live nodes of a stage play its ranks, in order.
            shunt::pipeline_job job = job_of(t);
            std::vector<std::size_t> player(held.size(), held.size());
            auto const live = survivors(before.back());
            for (std::int32_t s = 0; s < t.stages; ++s) {
              std::int32_t p = 0;
              for (auto const n : live)
                if (before.back()[n] == stage(s))
                  player[static_cast<std::size_t>(p++ * t.stages + s)] = n;
              for (; p < t.pipelines; ++p) job.dead.push_back({.pipeline = p, .stage = s});
            }
            auto const answer = shunt::normalize_failures{}(job);
            if (!answer.has_plan()) return held;
            for (auto const& change : answer.plan.changes)
              std::swap(player[change.to.index()], player[change.from->index()]);
            for (std::size_t rank = 0; rank < player.size(); ++rank)
              if (player[rank] < held.size())
                held[player[rank]] = stage(static_cast<std::int32_t>(rank) % t.stages);
            return held;
          }};
}

/// Oobleck: the pipelines of a plan for so many live nodes, whose places nodes take such that the
/// fewest layers are received in all. `places` returns the layers of each place.
inline node_states template_states(
    testbed const& t, std::function<std::vector<layer_set>(std::int32_t live)> places) {
  return {t, [t, places](std::int32_t lost, std::vector<held_layers> const& before) {
            held_layers held(static_cast<std::size_t>(t.nodes()));
            auto const now = places(t.nodes() - lost);
            if (lost == 0) {
              std::copy(now.begin(), now.end(), held.begin());
              return held;
            }
            auto const live = survivors(before.back());
            if (now.size() != live.size()) return held;
            std::vector<std::int64_t> kept;  // [node x place]
            for (auto const n : live)
              for (auto const& place : now) {
                layer_set both;
                std::set_intersection(before.back()[n].begin(), before.back()[n].end(),
                                      place.begin(), place.end(), std::back_inserter(both));
                kept.push_back(std::ssize(both));
              }
            shunt::assignment solver;
            auto const place_of = solver(kept, live.size());
            for (std::size_t n = 0; n < live.size(); ++n) held[live[n]] = now[place_of[n]];
            return held;
          }};
}

/// The best of all moves: what the plans of best_moves hold.
inline node_states best_states(testbed const& t, best_moves const& moves) {
  return {t,
          [moves](std::int32_t lost, std::vector<held_layers> const&) { return moves.held(lost); }};
}

/// What changes cost a system: constants, and what moves over the busiest link. As `changes` of
/// shunt::replay.
struct transition {
  shunt::change_cost constant{};
  double seconds_a_layer = 0;  ///< 0: what moves is in the constants
  std::shared_ptr<node_states const> states{};

  /// From so many live nodes, of which `kept` stay, to another number.
  shunt::change_cost operator()(std::int32_t from, std::int32_t kept, std::int32_t to) const {
    auto cost = constant;
    if (seconds_a_layer == 0 || !states) return cost;
    auto const seconds = seconds_a_layer * static_cast<double>(states->moved(from, kept, to));
    cost.stop += seconds;
    cost.join += seconds;
    return cost;
  }
  shunt::change_cost operator()(std::span<shunt::node_id const> before,
                                std::span<shunt::node_id const> after) const {
    std::vector<shunt::node_id> both;
    std::set_intersection(before.begin(), before.end(), after.begin(), after.end(),
                          std::back_inserter(both));
    return (*this)(static_cast<std::int32_t>(before.size()), static_cast<std::int32_t>(both.size()),
                   static_cast<std::int32_t>(after.size()));
  }
};

}  // namespace reproduce_papers
