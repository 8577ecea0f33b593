#pragma once
/// SwiftMoE's evaluation: drops, iterations and model time to a loss, against DeepSpeed-MoE and
/// FlexMoE, by training all of them.
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../adaptive_experts/systems.hpp"

namespace reproduce_papers {

/// How the systems are trained; the defaults are those of docs/moe-systems.md.
struct moe_evaluation {
  example::training_setup setup{};
  std::int32_t seeds = 5;  ///< 0: no training
  std::string text{};      ///< of --text
};

inline std::vector<std::string> const moe_systems{"swift_moe", "deepspeed", "flexmoe-10",
                                                  "flexmoe-50", "flexmoe-100"};

/// SYMI (arXiv 2504.19925), evaluation, GPT-Small: by how much SwiftMoE has less, %.
inline constexpr std::array published_of_swift_moe{
    example::published_reduction{"deepspeed", 28.5, 69, 30.5},
    example::published_reduction{"flexmoe-10", 0, 43, 25.9},
    example::published_reduction{"flexmoe-50", 12.1, 62, 27.5},
    example::published_reduction{"flexmoe-100", 15.6, 64, 29.4}};

[[nodiscard]] inline example::system_table train_moe_systems(
    moe_evaluation const& of, std::function<void(example::system_run const&)> const& say) {
  auto const text = example::load_text(of.text);
  return {of.setup, moe_systems, example::train_on_host(of.setup, moe_systems, of.seeds, text, say),
          std::nullopt};
}

/// Why reductions are not the published ones: a line for each kind that is off by 2 points or more.
inline void write_reasons(std::ostream& out, example::system_table const& table) {
  using tables = example::system_table;
  using published = example::published_reduction;
  auto const line = [&](char const* what, auto const& of, double published::* figure,
                        char const* why) {
    std::string off;
    for (std::size_t i = 1; i < moe_systems.size(); ++i) {
      auto const here = table.reduction(i, of);
      auto const& paper = published_of_swift_moe[i - 1];
      if (here.count == 0 || std::abs(here.median - paper.*figure) < 2) continue;
      off += (off.empty() ? "" : ", ") + moe_systems[i];
    }
    if (!off.empty()) out << what << " (" << off << "): " << why << '\n';
  };
  out << '\n';
  line(
      "iterations", tables::iterations, &published::iterations,
      "a small model and a short training, where they do not follow drops alone; seeds are tens of "
      "points apart.");
  line("drops", tables::percent_dropped, &published::drops, "routing is another model's here.");
  line(
      "time", tables::minutes, &published::time,
      "iterations differ, and one takes no longer than traffic and migration explain. The paper's "
      "FlexMoE takes 17 to\n  20 % longer than SwiftMoE where nothing moves, for which there is no "
      "formula, and 2.46 times as long where it\n  re-places, which stands for all slots of a "
      "rank; "
      "here fewer experts move.");
}

inline constexpr std::string_view moe_heading =
    "8. Mixtures of experts: drops, iterations and model time to a loss\n\n";

inline void write_moe_systems(std::ostream& out, example::system_table const& table) {
  table.print(out);
  table.print_reductions(out, published_of_swift_moe);
  write_reasons(out, table);
}

[[nodiscard]] inline nlohmann::ordered_json json_of(example::system_table const& table) {
  auto all = table.json();
  for (std::size_t i = 0; i < published_of_swift_moe.size(); ++i) {
    auto const& p = published_of_swift_moe[i];
    all["systems"][i + 1]["published_reductions_percent"] = {
        {"iterations", p.iterations}, {"drops", p.drops}, {"time", p.time}};
  }
  return all;
}

}  // namespace reproduce_papers
