#pragma once
#include "shunt/check/reconfiguration.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "shunt/core/config.hpp"

namespace shunt::detail {

using layers_by_rank = std::map<rank_id, std::set<std::int32_t>>;

/// Adds the layers of each rank of a pipeline. Returns false where its length has no template.
SHUNT_INLINE bool add_layers(std::vector<rank_id> const& ranks, template_set const& templates,
                             layers_by_rank& held) {
  auto const* const found = templates.of(std::ssize(ranks));
  if (!found || found->stages.size() != ranks.size()) return false;
  for (std::size_t s = 0; s < ranks.size(); ++s)
    for (auto l = found->stages[s].first; l < found->stages[s].end; ++l) held[ranks[s]].insert(l);
  return true;
}

SHUNT_INLINE void check_copies(pipeline_losses const& losses, template_set const& templates,
                               reconfiguration const& plan,
                               std::vector<reconfiguration_violation>& found) {
  using kind = reconfiguration_violation::kind;
  layers_by_rank before, after;
  bool known = true;
  for (auto const* lists : {&losses.pipelines, &plan.pipelines})
    for (std::size_t p = 0; p < lists->size(); ++p)
      if (!add_layers((*lists)[p], templates, lists == &plan.pipelines ? after : before)) {
        found.push_back({.what = kind::no_template, .pipeline = p});
        known = false;
      }
  if (!known) return;
  for (rank_id const r : losses.lost) before.erase(r);
  std::set<std::int32_t> all, kept;
  for (auto const& t : templates.templates)
    for (auto const& s : t.stages)
      for (auto l = s.first; l < s.end; ++l) all.insert(l);
  for (auto const& [rank, layers] : before) kept.insert(layers.begin(), layers.end());
  auto const listed = [](std::vector<layer_id> const& layers, std::int32_t l) {
    return std::find(layers.begin(), layers.end(), layer_id(l)) != layers.end();
  };
  for (auto const l : all)
    if (listed(plan.lost_layers, l) == kept.contains(l))
      found.push_back({.what = kind::lost_layer, .layer = l});
  std::map<std::pair<rank_id, std::int32_t>, int> received;
  for (auto const& c : plan.copies) {
    auto const l = c.layer.value();
    if (!before.contains(c.from) || !before[c.from].contains(l))
      found.push_back({.what = kind::source, .layer = l, .rank = c.from});
    for (rank_id const r : c.to) {
      ++received[{r, l}];
      if (!after.contains(r) || !after[r].contains(l) ||
          (before.contains(r) && before[r].contains(l)))
        found.push_back({.what = kind::receiver, .layer = l, .rank = r});
    }
  }
  for (auto const& [rank, layers] : after)
    for (auto const l : layers) {
      if (before.contains(rank) && before[rank].contains(l)) continue;
      auto const times = received.contains({rank, l}) ? received[{rank, l}] : 0;
      bool const may_lack = listed(plan.lost_layers, l) || listed(plan.published_stops, l);
      if (times != 1 && !(times == 0 && may_lack))
        found.push_back({.what = kind::missing, .layer = l, .rank = rank});
    }
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE std::string to_string(reconfiguration_violation const& v) {
  auto const pipeline = "pipeline " + to_string(v.pipeline);
  auto const rank = "rank " + to_string(v.rank);
  auto const layer = "layer " + to_string(v.layer);
  switch (v.what) {
    case reconfiguration_violation::kind::not_live:
      return pipeline + ": " + rank + " is not a live one";
    case reconfiguration_violation::kind::twice: return pipeline + ": " + rank + " stands twice";
    case reconfiguration_violation::kind::left_out: return rank + " is in no pipeline";
    case reconfiguration_violation::kind::too_short: return pipeline + " is too short";
    case reconfiguration_violation::kind::unsorted: return pipeline + " is out of order";
    case reconfiguration_violation::kind::no_template: return pipeline + " has no template";
    case reconfiguration_violation::kind::source:
      return layer + ": the source, " + rank + ", has no live copy";
    case reconfiguration_violation::kind::receiver:
      return layer + ": " + rank + " receives it without need";
    case reconfiguration_violation::kind::missing:
      return layer + ": " + rank + " does not receive it once";
    case reconfiguration_violation::kind::lost_layer:
      return layer + ": listed as lost and kept, or lost and not listed";
  }
  return "unknown violation";
}

SHUNT_INLINE std::vector<reconfiguration_violation> check(pipeline_losses const& losses,
                                                          template_set const& templates,
                                                          reconfiguration const& plan) {
  using kind = reconfiguration_violation::kind;
  std::vector<reconfiguration_violation> found;
  std::set<rank_id> live, seen;
  for (auto const& ranks : losses.pipelines) live.insert(ranks.begin(), ranks.end());
  for (rank_id const r : losses.lost) live.erase(r);
  for (std::size_t p = 0; p < plan.pipelines.size(); ++p) {
    auto const& ranks = plan.pipelines[p];
    for (rank_id const r : ranks) {
      if (!live.contains(r)) found.push_back({.what = kind::not_live, .pipeline = p, .rank = r});
      if (!seen.insert(r).second) found.push_back({.what = kind::twice, .pipeline = p, .rank = r});
    }
    if (std::ssize(ranks) < losses.minimum)
      found.push_back({.what = kind::too_short, .pipeline = p});
    bool ordered = std::is_sorted(ranks.begin(), ranks.end());
    if (p > 0 && !ranks.empty() && !plan.pipelines[p - 1].empty()) {
      auto const& other = plan.pipelines[p - 1];
      ordered = ordered && (other.size() < ranks.size() ||
                            (other.size() == ranks.size() && other.front() < ranks.front()));
    }
    if (!ordered) found.push_back({.what = kind::unsorted, .pipeline = p});
  }
  for (rank_id const r : live)
    if (!seen.contains(r)) found.push_back({.what = kind::left_out, .rank = r});
  if (!templates.templates.empty()) detail::check_copies(losses, templates, plan, found);
  return found;
}

}  // namespace shunt
