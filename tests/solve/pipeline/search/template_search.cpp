#include "shunt/solve/pipeline/search/template_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "shunt/check/pipeline_template.hpp"
#include "support/random_cases.hpp"
#include "support/templates.hpp"
#include "support/text.hpp"

namespace shunt::tests::template_search_test {
namespace {

// The recursion as it is written, with every cut looked at: another program for the same rules.
class plain_recursion {
 public:
  explicit plain_recursion(template_problem const& problem) : problem_(problem) {}

  std::string best(std::int32_t nodes) {
    std::optional<plan> least;
    auto const layers = static_cast<std::int32_t>(problem_.layers.size());
    for (auto stages = nodes; stages <= layers; ++stages)
      if (auto const found = solve(stages, 0, layers, nodes, problem_.gpus);
          found && (!least || found->time < least->time))
        least = found;
    return least ? shown(pipeline_template{nodes, least->stages, least->time, 0}) : "none";
  }

 private:
  struct plan {
    std::vector<template_stage> stages;
    std::vector<double> latency;
    std::size_t slowest;
    double once, time;
  };

  std::optional<plan> solve(std::int32_t s, std::int32_t a, std::int32_t b, std::int32_t n,
                            std::int32_t g) {
    auto const key = std::tuple(s, a, b, n, g);
    if (auto const known = known_.find(key); known != known_.end()) return known->second;
    std::optional<plan> least;
    bool const fits = s <= b - a && (n == 1 ? s <= g && (s > 1 || (g & (g - 1)) == 0) : n <= s);
    if (fits && s == 1) {
      double const t = time_of_stage(problem_, a, b, g).latency();
      least = plan{{{a, b, g}}, {t}, 0, t, t + 2 * t + t};
    } else if (fits) {
      for (auto k = a + 1; k < b; ++k)
        for (std::int32_t m = 1; m < (n == 1 ? 2 : n); ++m)
          for (std::int32_t t = 1; t < s; ++t) {
            if (n == 1 && g % 2 != 0) continue;
            auto const h = n == 1 ? g / 2 : g;
            auto const left = solve(t, a, k, n == 1 ? 1 : m, h);
            auto const right = solve(s - t, k, b, n == 1 ? 1 : n - m, h);
            if (!left || !right) continue;
            auto both = joined(*left, *right);
            if (!least || both.time < least->time) least = both;
          }
    }
    return known_[key] = least;
  }

  static plan joined(plan const& left, plan const& right) {
    plan both = left;
    both.stages.insert(both.stages.end(), right.stages.begin(), right.stages.end());
    both.latency.insert(both.latency.end(), right.latency.begin(), right.latency.end());
    if (!(left.latency[left.slowest] > right.latency[right.slowest]))
      both.slowest = left.stages.size() + right.slowest;
    both.once = left.once + right.once;
    double behind = 0;
    for (auto i = both.slowest; i < both.latency.size(); ++i) behind += both.latency[i];
    both.time = both.once +
                static_cast<double>(2 * both.stages.size() + both.slowest + 1) *
                    both.latency[both.slowest] +
                behind;
    return both;
  }

  template_problem const& problem_;
  std::map<std::tuple<std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t>,
           std::optional<plan>>
      known_;
};

// Bounds leave cuts out and change nothing, ties and rounding included.
TEST(template_search, equal_the_recursion_without_bounds) {
  random_cases d(11);
  int several = 0;
  for (int round = 0; round < 600; ++round) {
    SCOPED_TRACE(round);
    auto problem = random_templates(d, 10, 5);
    // ranges of equal layers: blocks of one or two layers between other ends
    for (std::size_t l = 3; round % 2 == 1 && l + 1 < problem.layers.size(); ++l)
      problem.layers[l] = problem.layers[1 + (round % 4 == 3 ? l % 2 : 0)];
    auto const answer = oobleck_templates{}(problem);
    ASSERT_EQ(lines(check(problem, answer.plan)), "");
    plain_recursion plain(problem);
    auto const layers = static_cast<std::int32_t>(problem.layers.size());
    ASSERT_EQ(answer.plan.templates.size(),
              static_cast<std::size_t>(std::min(problem.nodes, layers)));
    for (auto const& t : answer.plan.templates) {
      ASSERT_EQ(shown(t), plain.best(t.nodes));
      several += t.stages.size() > static_cast<std::size_t>(t.nodes);
    }
  }
  EXPECT_GT(several, 100);  // templates of more stages than nodes
}

}  // namespace
}  // namespace shunt::tests::template_search_test
