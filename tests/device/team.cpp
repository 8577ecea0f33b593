#include <gtest/gtest.h>

#include <cstdint>
#include <random>

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

}  // namespace
}  // namespace shunt::tests::team_test
