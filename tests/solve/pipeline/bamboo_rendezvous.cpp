#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/refusals.hpp"

namespace shunt::tests::bamboo_rendezvous_test {
namespace {

using rules = bamboo_rendezvous::rules;
using cause = rendezvous_cause;

cause simulated(bamboo_nodes const& n) { return bamboo_rendezvous{}(n); }
cause coordinated(bamboo_nodes const& n) { return bamboo_rendezvous{rules::coordinator}(n); }

TEST(bamboo_rendezvous, cases_by_hand) {
  EXPECT_EQ(simulated({.pipelines = 6, .stages = 4}), cause::none);
  EXPECT_EQ(simulated({6, 4, 1, 1}), cause::replacement);
  EXPECT_EQ(simulated({6, 4, 2, 1}), cause::unprotected);
  EXPECT_EQ(simulated({6, 4, 0, 3}), cause::none);
  EXPECT_EQ(simulated({6, 4, 0, 4}), cause::another_pipeline);
  EXPECT_EQ(simulated({0, 4, 0, 4}), cause::another_pipeline);
  // One of at most 39 active nodes is more than 5 %: two of 40 nodes are not.
  EXPECT_EQ(simulated({10, 4, 1, 0}), cause::unprotected);
  EXPECT_EQ(simulated({41, 1, 1, 0}), cause::none);
  EXPECT_EQ(coordinated({6, 4, 1, 1}), cause::none);
  EXPECT_EQ(coordinated({6, 4, 2, 0}), cause::none);
  EXPECT_EQ(coordinated({6, 4, 0, 4}), cause::another_pipeline);
  EXPECT_EQ(coordinated({6, 4, 1, 5}), cause::none);  // 23 + 5 - 1 of 28
  EXPECT_EQ(coordinated({6, 4, 1, 6}), cause::another_pipeline);
  EXPECT_EQ(to_string(cause::unprotected), "unprotected");
}

// The rules as the authors' code has them, in floating point.
TEST(bamboo_rendezvous, agrees_with_the_published_formulas) {
  for (std::int64_t d = 1; d <= 7; ++d)
    for (std::int64_t s = 1; s <= 8; ++s)
      for (std::int64_t o = 0; o <= d * s / 2; ++o)
        for (std::int64_t w = 0; w <= 2 * s; ++w) {
          std::int64_t const active = d * s - o;
          bool const early =
              o > 0 && (w >= o || 2.0 * static_cast<double>(o) / static_cast<double>(active) > .05);
          bool const more = (active + w) / s > d;
          EXPECT_EQ(simulated({d, s, o, w}) != cause::none, early || more);
          EXPECT_EQ(coordinated({d, s, o, w}) != cause::none, (active + w - o) / s > d);
        }
}

TEST(bamboo_rendezvous, refusals) {
  auto const field = [](bamboo_nodes const& n) { return field_of([&] { (void)simulated(n); }); };
  EXPECT_EQ(field({-1, 4, 0, 0}), "pipelines");
  EXPECT_EQ(field({1, 0, 0, 0}), "stages");
  EXPECT_EQ(field({1, 4, 3, 0}), "overloaded");
  EXPECT_EQ(field({1, 4, 0, -1}), "waiting");
  EXPECT_EQ(field({1, 4, 0, std::int64_t{1} << 40}), "waiting");
  std::string text;
  (void)field_of([] { (void)simulated({1, 4, 3, 0}); }, &text);
  EXPECT_EQ(text, "overloaded: must be from 0 to 2, is 3");
}

}  // namespace
}  // namespace shunt::tests::bamboo_rendezvous_test
