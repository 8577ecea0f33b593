#include "shunt/train/step_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace shunt::tests::step_kernels_test {
namespace {

TEST(step_kernels, lanes_and_neighbours_sum_everything) {
  constexpr std::int64_t size = 1000, lanes = 16, neighbours = 4;
  std::vector<float> gradient;
  for (std::int64_t i = 0; i < size; ++i) gradient.push_back(static_cast<float>(i) / 64);
  gradient[17] = std::numeric_limits<float>::quiet_NaN();
  gradient[500] = 100;
  std::vector<std::int64_t> sums(size, 1), unfit(lanes), some(lanes / neighbours), whole(1);
  for (std::int64_t l = 0; l < lanes; ++l)
    accumulate_gradient{gradient.data(), size, lanes, sums.data(), unfit.data()}(l);
  for (std::int64_t k = 0; k < lanes / neighbours; ++k)
    sum_neighbours<std::int64_t>{unfit.data(), neighbours, some.data()}(k);
  sum_neighbours<std::int64_t>{some.data(), lanes / neighbours, whole.data()}(0);
  EXPECT_EQ(whole[0], 2);
  for (std::size_t i = 0; i < sums.size(); ++i)
    EXPECT_EQ(sums[i], 1 + (i == 17 || i == 500 ? 0 : fixed_point::rounded(gradient[i])));
  std::int64_t flag = 3;
  raise_flag{whole.data(), &flag}(0);
  EXPECT_EQ(flag, 5);

  std::vector<double> squares(lanes);
  double expected = 0, found = 0;
  for (std::int64_t l = 0; l < lanes; ++l) {
    square_gradient{sums.data(), size, lanes, 2, squares.data()}(l);
    found += squares[static_cast<std::size_t>(l)];
  }
  for (auto const s : sums) expected += std::pow(static_cast<double>(s) / 0x1p41, 2);
  EXPECT_NEAR(found, expected, 1e-6 * expected);
  gradient_norms norms;
  note_norms{squares.data(), &flag, &norms}(0);
  EXPECT_EQ(norms, (gradient_norms{5, squares[0], 1}));
}

TEST(step_kernels, a_step_is_ordered_where_no_gradient_overflowed) {
  step_notes notes;
  std::int64_t const iteration = 4, bad = 1, good = 0;
  decide_step{{}, &iteration, &bad, &notes}(0);
  EXPECT_EQ(notes.act, 0);
  EXPECT_EQ(notes.overflow, 4);
  EXPECT_EQ(notes.steps, 5);
  decide_step{{}, &iteration, &good, &notes}(0);
  EXPECT_EQ(notes.act, 1);
}

TEST(step_kernels, norms_decide_on_a_validated_step) {
  step_rule const rule{.clip = 1};
  step_notes notes;
  step_record record;
  std::vector<step_outcome> steps(6);
  std::int64_t const iteration = 4, next = 5;
  gradient_norms const small{0, 0.25, 1}, large{0, 4, 2};
  decide_validated_step{rule, &iteration, &small, 2, &record, steps.data(), &notes}(0);
  EXPECT_EQ(notes.act, 1);
  EXPECT_EQ(notes.has_stepped, 1);
  EXPECT_EQ(record, (step_record{small, 1}));
  std::int64_t words[2];
  check_step{rule, &small, &record, words}(0);
  EXPECT_EQ(words[0], 0);
  check_step{rule, &large, &record, words}(0);
  EXPECT_EQ(words[0], 1);
  EXPECT_EQ(words[1], 1);
  decide_redo_step{rule, &next, &large, &record, steps.data(), &notes}(0);
  EXPECT_EQ(record.pending, 0);
  EXPECT_TRUE(steps[4].clipped && steps[4].taken_back && !steps[4].left_out);
  EXPECT_EQ(steps[4].norm, 2);
  EXPECT_NEAR(static_cast<double>(notes.scale), 0.5, 1e-5);
}

TEST(step_kernels, a_loss_has_its_place) {
  std::vector<double> losses(12, 0);
  double const loss = 7;
  std::int64_t const iteration = 2;
  note_loss{&loss, &iteration, 3, 4, losses.data()}(0);
  EXPECT_EQ(losses[11], 7);
}

}  // namespace
}  // namespace shunt::tests::step_kernels_test
