#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/device/team.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "support/emulated_kernels.hpp"
#include "support/random_layers.hpp"

namespace shunt::tests::team_test {
namespace {

using namespace emulated_kernels;

/// A thread that read what another one writes in the same phase would see other values when turns
/// change.
TEST(team, no_phase_depends_on_who_goes_first) {
  std::mt19937_64 random(13);
  for (int i = 0; i < 20; ++i) {
    auto const p = random_layers(random, 1, 60, 40);
    auto const first_slot = shunt::eplb{}(p).plan.first_slot;
    auto const a = swift_moe_on_device(p, 64, 0), b = eplb_on_device(p, first_slot, 64, 0);
    for (std::uint32_t turn = 1; turn < 12; ++turn) {
      auto const c = swift_moe_on_device(p, 64, turn * 7),
                 d = eplb_on_device(p, first_slot, 64, turn * 7);
      ASSERT_EQ(a.expert_of, c.expert_of) << "case " << i << " turn " << turn;
      ASSERT_EQ(b.expert_of, d.expert_of) << "case " << i << " turn " << turn;
    }
  }
}

TEST(team, the_least_value_with_enough_elements_is_found) {
  std::mt19937_64 random(17);
  for (int i = 0; i < 2000; ++i) {
    auto const n = static_cast<std::int32_t>(1 + random() % 40);
    std::int64_t const most = i % 3 == 0 ? 5 : i % 3 == 1 ? 1000 : std::int64_t{1} << 61;
    std::vector<std::int64_t> values;
    for (std::int32_t k = 0; k < n; ++k)
      values.push_back(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * most)) -
                       most);
    auto sorted = values;
    std::ranges::sort(sorted);
    auto const wanted = static_cast<std::int64_t>(1 + random() % static_cast<std::uint64_t>(n));
    auto const count = [&](std::int32_t k, std::int64_t x) {
      return std::int64_t{values[at(k)] <= x};
    };
    emulated_team const team{team_sizes[random() % 4], static_cast<std::uint32_t>(random())};
    auto const found = detail::least_with(team, n, -most - 1, most, wanted, count);
    auto const least = sorted[at(wanted - 1)];
    if (found.exact)
      ASSERT_EQ(std::ranges::count_if(values, [&](auto v) { return v <= found.at; }), wanted) << i;
    else
      ASSERT_EQ(found.at, least) << i;
    auto const cut = detail::choose_least(team, n, wanted, -most - 1, most, count);
    auto const fewer = std::ranges::lower_bound(sorted, least) - sorted.begin();
    for (std::int32_t k = 0; k < n; ++k) {
      auto const before = std::count(values.begin(), values.begin() + k, least);
      bool const wins = values[at(k)] == least && fewer + before < wanted;
      ASSERT_EQ(values[at(k)] <= cut.of(k), values[at(k)] < least || wins) << i;
    }
  }
}

}  // namespace
}  // namespace shunt::tests::team_test
