#include "shunt/train/gathered_parameters.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace shunt::tests::gathered_parameters_test {
namespace {

TEST(gathered_parameters, are_whole_and_agreed_on) {
  std::vector<float> const all{1, 0, 3, 4};
  auto const part = [&](std::size_t first, std::size_t count) {
    return std::span(all).subspan(first, count);
  };
  gathered_parameters sound(4);
  sound.add(0, 0, part(0, 2));
  sound.add(1, 1, part(1, 3));
  EXPECT_EQ(std::move(sound).whole(), all);
  gathered_parameters other(4);
  other.add(0, 0, part(0, 3));
  std::vector<float> const negative{-0.0F};
  EXPECT_THROW(other.add(1, 1, negative), std::logic_error);
  EXPECT_THROW(other.add(1, 3, part(2, 2)), std::logic_error);
  EXPECT_THROW((void)std::move(other).whole(), std::runtime_error);  // nobody knows the last
}

}  // namespace
}  // namespace shunt::tests::gathered_parameters_test
