#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "process_options.hpp"
#include "shunt/core/error.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/io/csv_fields.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "training.hpp"

namespace example {

/// The command line of adaptive_experts.
struct options {
  training_setup setup{};
  std::vector<std::string> policies{};
  std::vector<shunt::failure_point> failures{};  ///< ranks that fall silent
  bool dropless = false;  ///< asked for: all runs must have the same losses and parameters
  std::string text{}, trace{}, out{};
  std::string engine = "threads";
  std::optional<std::chrono::milliseconds> timeout{};  ///< of silence
  std::int32_t seeds = 0;                              ///< to compare systems over; 0: one run each
  std::optional<double> target_loss{};                 ///< nothing: what all runs reach
  process_options process{};
};

/// A capacity factor above 0. Throws invalid_problem, naming the option.
inline shunt::capacity_factor parse_factor(std::string const& text) {
  auto const factor = parse_factor("--capacity-factor", text);
  refuse_if(factor.numerator == 0, "--capacity-factor", "must be above 0, is " + text);
  return factor;
}

/// "2.5": a finite number above 0; the empty text is none.
inline std::optional<double> parse_loss(std::string const& text) {
  if (text.empty()) return std::nullopt;
  auto const value = shunt::finite_number(text);
  refuse_if(!value || *value <= 0, "--target-loss",
            quoted_text(text) + " is not a finite number above 0");
  return value;
}

/// "3@5,7@9": rank 3 in iteration 5 and rank 7 in iteration 9, each rank once; before this
/// instruction of their lists.
inline std::vector<shunt::failure_point> parse_kills(training_setup const& setup,
                                                     std::string const& text,
                                                     std::int32_t instruction) {
  std::vector<shunt::failure_point> kills;
  for (auto const item : items_of(text)) {
    auto const name = "--kill[" + std::to_string(kills.size()) + "]";
    auto const [rank, when] = halves_of(name, item, '@', "rank@iteration");
    shunt::failure_point const k{
        parse_integer(name + " (rank)", rank, 0, setup.ranks - 1),
        parse_integer(name + " (iteration)", when, 0, setup.iterations - 1), instruction};
    for (shunt::failure_point const& other : kills)
      refuse_if(other.rank == k.rank, name,
                "names rank " + std::to_string(k.rank.value()) + " twice");
    kills.push_back(k);
  }
  return kills;
}

/// Throws invalid_problem where the others can't go on without the ranks that are killed: all that
/// keep a shard of the optimizer's state are killed before it can be copied again, which is within
/// one iteration, or too few slots are left.
inline void require_survivors(training_setup const& s,
                              std::vector<shunt::failure_point> const& kills) {
  auto const state =
      shunt::shape_of(sizes_of(s.model, s.tokens), s, 1, shunt::adam::moments).experts;
  auto shards = shunt::mirrored_shards{.copies = s.copies}(state);
  refuse_if(!shards.has_plan(), "copies", shards.reason);
  std::map<std::int64_t, std::vector<shunt::rank_id>> of_iteration;
  for (auto const& k : kills) of_iteration[k.iteration].push_back(k.rank);
  std::vector<shunt::rank_id> dead;
  for (auto const& [iteration, ranks] : of_iteration) {
    auto const when = " in iteration " + std::to_string(iteration);
    dead.insert(dead.end(), ranks.begin(), ranks.end());
    std::sort(dead.begin(), dead.end());
    auto const live = s.ranks - static_cast<std::int32_t>(dead.size());
    refuse_if(live == 0, "--kill", "leaves no rank" + when);
    auto restored = shunt::restore_shards{.map = shards.plan}({.state = state, .dead = dead});
    refuse_if(!restored.has_plan(), "--kill",
              "loses shards" + when + ", in each of " + std::to_string(s.model.layers) +
                  " layers: " + std::string(restored.reason));
    refuse_if(live * s.slots_per_rank < s.model.experts, "--kill",
              "leaves " + std::to_string(live * s.slots_per_rank) + " slots for " +
                  std::to_string(s.model.experts) + " experts" + when);
    shards.plan = std::move(restored.plan.map);
  }
}

/// Throws invalid_problem where the options are not those of a comparison of systems.
inline void require_comparable(options const& o) {
  std::string const asks = o.target_loss ? "--target-loss" : "--seeds";
  refuse_if(o.engine == "gloo", asks, "needs all ranks in one process: not --engine gloo");
  refuse_if(!o.failures.empty(), asks, "compares runs that lose no rank: not with --kill");
  refuse_if(o.setup.seed >
                std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(o.seeds),
            "--seed",
            "is too large for " + std::to_string(o.seeds) + " seeds, is " +
                std::to_string(o.setup.seed));
}

inline std::vector<std::string> parse_policies(std::string const& text) {
  std::vector<std::string> names;
  std::string_view const all = text == "both" ? std::string_view("swift_moe,uniform") : text;
  auto const items = items_of(all);
  for (auto const item : items) {
    require_policy(
        items.size() == 1 ? "--policy" : "--policy[" + std::to_string(names.size()) + "]", item);
    names.emplace_back(item);
  }
  refuse_if(names.empty(), "--policy", "is empty");
  return names;
}

}  // namespace example
