#include "shunt/train/undisturbed.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt::tests::undisturbed_test {
namespace {

pipeline_job const job{.pipelines = 2, .stages = 2, .microbatches = 2};

TEST(undisturbed, hashes_are_those_of_the_bytes) {
  EXPECT_EQ(hash_of(std::vector<float>{}), 0xcbf29ce484222325U);
  // The bytes 0, 0, 0x80, 0x3f of 1.0F, by the definition of FNV-1a.
  std::uint64_t wanted = 0xcbf29ce484222325;
  for (std::uint64_t const b : {0x00U, 0x00U, 0x80U, 0x3fU}) wanted = (wanted ^ b) * 0x100000001b3;
  EXPECT_EQ(hash_of(std::vector<float>{1}), wanted);
  EXPECT_NE(hash_of(std::vector<float>{0.0F}), hash_of(std::vector<float>{-0.0F}));
  EXPECT_NE(hash_of(std::vector<std::uint64_t>{1, 2}), hash_of(std::vector<std::uint64_t>{2, 1}));
}

TEST(undisturbed, differences_are_found_to_the_bit) {
  undisturbed_training const wanted{.losses = {0.1, 2}, .hashes = {7, 8}};
  std::vector<trained_iteration> iterations{{.iteration = 0, .loss = 0.1},
                                            {.iteration = 1, .loss = 2}};
  held_hashes hashes{{0, {{0, 7}}}, {3, {{1, 8}}}};
  EXPECT_EQ(difference(iterations, hashes, wanted, job), std::nullopt);
  iterations[0].loss = std::nextafter(0.1, 1);
  EXPECT_EQ(difference(iterations, hashes, wanted, job),
            "differ: iteration 0 has loss 0.10000000000000002, 0.10000000000000001 without "
            "failures");
  iterations[0].loss = std::nan("");
  EXPECT_EQ(difference(iterations, hashes, wanted, job),
            "differ: iteration 0 has loss nan, 0.10000000000000001 without failures");
  iterations.resize(1);
  iterations[0].loss = 0.1;
  EXPECT_EQ(difference(iterations, hashes, wanted, job), "differ: 1 of 2 iterations were trained");
  hashes[3][1] = 9;
  EXPECT_EQ(difference(iterations, hashes, wanted, job), "parameters differ: those of worker 1:1");
  EXPECT_EQ(difference(iterations, {}, wanted, job), "differ: nobody is left");
}

TEST(undisturbed, the_largest_difference_of_a_loss_is_found) {
  std::vector<double> const expected{1, 2, 4};
  auto found = expected;
  EXPECT_EQ(largest_difference(found, expected).relative, 0);
  found[1] = 2.5;
  found[2] = 3.5;
  EXPECT_EQ(largest_difference(found, expected).relative, 0.25);
  EXPECT_EQ(largest_difference(found, expected).iteration, 1U);
  found[0] = std::nan("");
  EXPECT_EQ(largest_difference(found, expected).iteration, 0U);
  EXPECT_TRUE(std::isnan(largest_difference(found, expected).relative));
  found.clear();
  EXPECT_EQ(largest_difference(found, expected).relative, 0);
}

}  // namespace
}  // namespace shunt::tests::undisturbed_test
