// The least team of threads, through every kernel that is written for teams.
#include <gtest/gtest.h>

#include <cstdint>

#include "shunt/device/eplb_layers.hpp"
#include "shunt/device/split_layers.hpp"
#include "shunt/device/swift_moe_layers.hpp"
#include "shunt/device/team.hpp"

namespace {

/// A team of one thread.
class least_team {
 public:
  static constexpr least_team one() { return {}; }
  least_team(least_team const&) = delete;
  least_team& operator=(least_team const&) = delete;

  [[nodiscard]] constexpr std::int32_t size() const { return 1; }
  template <class F>
  constexpr void each(F const& f) const {
    f(0);
  }
  template <class F>
  [[nodiscard]] constexpr std::int64_t sum(F const& f) const {
    return f(0);
  }
  template <class F>
  [[nodiscard]] constexpr shunt::team_sums sums(F const& f) const {
    shunt::team_sums all;
    for (std::int32_t k = 0; k < shunt::team_sums::count; ++k) all.of[k] = f(k, 0, 1);
    return all;
  }
  template <class F>
  [[nodiscard]] constexpr shunt::ranked_key least(F const& f) const {
    return f(0);
  }
  template <class F>
  constexpr void narrow(F const& f) const {
    f(*this);
  }

 private:
  constexpr least_team() = default;
};
static_assert(shunt::team_of_threads<least_team>);

}  // namespace

template void shunt::swift_moe_layers::operator()(least_team const&, std::int32_t,
                                                  unsigned char*) const;
template void shunt::split_layers::operator()(least_team const&, std::int32_t,
                                              unsigned char*) const;
template void shunt::eplb_layers::operator()(least_team const&, std::int32_t, unsigned char*) const;

namespace {

TEST(archetypes, a_team_of_one_places_a_layer) {
  std::int64_t const loads[] = {3, 1};
  std::int32_t placed[4] = {};
  alignas(8) unsigned char shared[64] = {};
  shunt::swift_moe_layers const layers{
      .loads = loads, .experts = 2, .slots = 4, .expert_of = placed};
  ASSERT_LE(layers.shared_bytes(), 64);
  layers(least_team::one(), 0, shared);
  EXPECT_EQ(placed[2], 0);
  EXPECT_EQ(placed[3], 1);
}

}  // namespace
