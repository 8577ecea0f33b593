#pragma once
#include "shunt/solve/pipeline/oobleck_reconfigure.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/text.hpp"

namespace shunt::detail {

using rank_lists = std::vector<std::vector<rank_id>>;

/// Lengthens pipelines of fewer than `minimum` ranks in turn with ranks of the longest one.
/// Returns whether one stays short.
SHUNT_INLINE bool lengthen(rank_lists& pipelines, std::size_t minimum) {
  bool short_one = false;
  for (auto& ranks : pipelines) {
    if (ranks.empty()) continue;
    while (ranks.size() < minimum) {
      auto* donor = &pipelines.front();
      for (auto& other : pipelines)
        if (other.size() >= donor->size()) donor = &other;
      if (donor->size() <= minimum) {
        short_one = true;
        break;
      }
      while (donor->size() > minimum && ranks.size() < minimum) {
        ranks.push_back(donor->back());
        donor->pop_back();
      }
    }
  }
  return short_one;
}

/// Joins pipelines of fewer than `minimum` ranks. Returns nothing where all ranks are too few.
SHUNT_INLINE std::optional<rank_lists> joined(rank_lists const& pipelines, std::size_t minimum) {
  rank_lists short_ones, others;
  for (auto const& ranks : pipelines)
    (ranks.size() < minimum ? short_ones : others).push_back(ranks);
  for (std::size_t next = 0; next < short_ones.size();) {
    auto ranks = short_ones[next++];
    while (ranks.size() < minimum && next < short_ones.size()) {
      ranks.insert(ranks.end(), short_ones[next].begin(), short_ones[next].end());
      ++next;
    }
    if (ranks.size() < minimum) {
      if (others.empty()) return std::nullopt;
      ranks.insert(ranks.end(), others.front().begin(), others.front().end());
      others.erase(others.begin());
    }
    others.push_back(std::move(ranks));
  }
  return others;
}

/// Returns for each layer its holder in each pipeline.
SHUNT_INLINE std::vector<std::vector<rank_id>> layer_holders(rank_lists const& pipelines,
                                                             template_set const& templates) {
  std::vector<std::vector<rank_id>> holders;
  for (auto const& ranks : pipelines) {
    auto const& stages = templates.of(std::ssize(ranks))->stages;
    for (std::size_t s = 0; s < stages.size(); ++s)
      for (auto l = stages[s].first; l < stages[s].end; ++l) {
        if (holders.size() <= static_cast<std::size_t>(l))
          holders.resize(static_cast<std::size_t>(l) + 1);
        holders[static_cast<std::size_t>(l)].push_back(ranks[s]);
      }
  }
  return holders;
}

/// The copies of one layer.
class layer_sources {
 public:
  layer_sources(layer_id layer, std::vector<rank_id> const& before,
                std::vector<rank_id> const& after, std::set<rank_id> const& lost)
      : layer_(layer), before_(before), after_(after) {
    for (rank_id const r : before)
      if (!lost.contains(r)) live_.push_back(r);
    std::sort(live_.begin(), live_.end());
    for (rank_id const r : after)
      if (std::find(before.begin(), before.end(), r) == before.end()) receivers_.push_back(r);
  }

  [[nodiscard]] bool held() const { return !live_.empty(); }
  [[nodiscard]] std::vector<rank_id> const& receivers() const { return receivers_; }

  /// Returns the first old holder that holds the layer in the new pipelines too.
  [[nodiscard]] std::optional<rank_id> published() const {
    for (rank_id const r : before_)
      if (std::find(after_.begin(), after_.end(), r) != after_.end()) return r;
    return std::nullopt;
  }

  /// Returns the lowest live holder, on the receiver's node if there is one.
  /// Requires held().
  [[nodiscard]] rank_id nearest(rank_id to, std::int32_t ranks_per_node) const {
    for (rank_id const r : live_)
      if (ranks_per_node > 0 && r.value() / ranks_per_node == to.value() / ranks_per_node) return r;
    return live_.front();
  }

  void add(rank_id from, rank_id to, std::vector<layer_copy>& copies) const {
    for (auto at = copies.rbegin(); at != copies.rend() && at->layer == layer_; ++at)
      if (at->from == from) return at->to.push_back(to);
    copies.push_back({layer_, from, {to}});
  }

 private:
  layer_id layer_;
  std::vector<rank_id> const& before_;
  std::vector<rank_id> const& after_;
  std::vector<rank_id> live_{}, receivers_{};
};

SHUNT_INLINE text listed_layers(std::vector<layer_id> const& layers) {
  text all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    auto last = i;
    while (last + 1 < layers.size() && layers[last + 1].value() == layers[last].value() + 1) ++last;
    all += text(all.empty() ? "" : ", ") + text::of(layers[i].value());
    if (last > i) all += text(" to ") + text::of(layers[last].value());
    i = last;
  }
  return text(layers.size() > 1 ? "layers " : "layer ") + all;
}

SHUNT_INLINE void plan_copies(oobleck_reconfigure const& how, pipeline_losses const& losses,
                              std::set<rank_id> const& lost, reconfiguration& plan) {
  auto const before = layer_holders(losses.pipelines, how.templates),
             after = layer_holders(plan.pipelines, how.templates);
  for (std::size_t l = 0; l < before.size(); ++l) {
    layer_sources const sources(l, before[l], after[l], lost);
    if (!sources.held()) plan.lost_layers.push_back(l);
    if (!sources.held() || sources.receivers().empty()) continue;
    auto const first = sources.published();
    if (!first) plan.published_stops.push_back(l);
    if (how.published_sources && !first) continue;
    for (rank_id const to : sources.receivers())
      sources.add(how.published_sources ? *first : sources.nearest(to, losses.ranks_per_node), to,
                  plan.copies);
  }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE solution<reconfiguration> oobleck_reconfigure::operator()(
    pipeline_losses const& losses) const {
  validate(losses);
  bool const copying = !templates.templates.empty();
  for (std::size_t p = 0; copying && p < losses.pipelines.size(); ++p)
    if (!templates.of(std::ssize(losses.pipelines[p])))
      throw invalid_problem("pipelines[" + std::to_string(p) + "]",
                            "has " + std::to_string(losses.pipelines[p].size()) +
                                " ranks, for which there is no template");
  std::set<rank_id> const lost(losses.lost.begin(), losses.lost.end());
  solution<reconfiguration> answer{.plan = {}, .status = status::infeasible};
  auto lists = losses.pipelines;
  for (auto& ranks : lists) std::erase_if(ranks, [&](rank_id r) { return lost.contains(r); });
  auto const minimum = static_cast<std::size_t>(losses.minimum);
  bool const short_one = detail::lengthen(lists, minimum);
  std::erase_if(lists, [](auto const& ranks) { return ranks.empty(); });
  if (short_one || lists.empty()) {
    auto longer = detail::joined(lists, minimum);
    if (!longer || longer->empty()) {
      std::size_t left = 0;
      for (auto const& ranks : lists) left += ranks.size();
      answer.reason = text("ranks are insufficient: ") + text::of(std::ssize(losses.lost)) +
                      " are lost, " + text::of(static_cast<std::int64_t>(left)) +
                      " are left for a pipeline of " + text::of(losses.minimum);
      return answer;
    }
    lists = std::move(*longer);
  }
  for (auto& ranks : lists) std::sort(ranks.begin(), ranks.end());
  std::sort(lists.begin(), lists.end(), [](auto const& x, auto const& y) {
    return std::pair(x.size(), x.front()) < std::pair(y.size(), y.front());
  });
  auto& plan = answer.plan;
  plan.pipelines = std::move(lists);
  if (copying) {
    for (auto const& ranks : plan.pipelines)
      if (!templates.of(std::ssize(ranks))) {
        answer.reason =
            text("no template for a pipeline of ") + text::of(std::ssize(ranks)) + " ranks";
        return answer;
      }
    detail::plan_copies(*this, losses, lost, plan);
  }
  if (!plan.lost_layers.empty())
    answer.reason = text("no live rank has ") + detail::listed_layers(plan.lost_layers);
  else if (published_sources && !plan.published_stops.empty())
    answer.reason = text("no rank keeps ") + detail::listed_layers(plan.published_stops) +
                    ", which live ranks have: the published rule finds no source";
  if (!answer.reason.empty()) return answer;
  std::size_t received = 0;
  for (auto const& c : plan.copies) received += c.to.size();
  answer.objective = answer.lower_bound = static_cast<double>(received);
  answer.status = status::optimal;
  return answer;
}

}  // namespace shunt
