#include "shunt/train/detail/followed_paces.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include "support/dense_training.hpp"

namespace shunt::tests::followed_paces_test {
namespace {

using watched = watched_work<dense_work>;

// All ranks hear in an iteration that rank 1 takes so many sixteenths.
void hear(slow_watch& watch, std::int64_t iteration, std::int64_t sixteenths) {
  slow_verdicts all(4);
  all[1].sixteenths = sixteenths;
  std::vector<std::byte> bytes(static_cast<std::size_t>(watch.sizes().verdict));
  std::memcpy(bytes.data(), all.items().data(), bytes.size());
  watch.hear(iteration, bytes);
}

TEST(slow_followed_paces, change_from_the_iteration_after_they_are_heard) {
  auto const t = dense_training(2, 2, 2);
  watched work(dense_work_of(t));
  detail::followed_paces<watched> paces(work);
  recovery run;
  paces.end_sessions(run);
  EXPECT_FALSE(run.plan_serves);
  EXPECT_FALSE(paces.take(5));
  EXPECT_TRUE(paces.verdicts().empty());

  paces.watch(t.job, {});
  paces.end_sessions(run);
  EXPECT_FALSE(paces.take(0));
  EXPECT_EQ(paces.verdicts(), slow_verdicts(4));
  hear(*work.watching(), 2, 16);
  hear(*work.watching(), 3, 32);
  EXPECT_TRUE(run.plan_serves(3));
  EXPECT_FALSE(run.plan_serves(4));
  EXPECT_FALSE(paces.take(3));
  EXPECT_TRUE(paces.take(4));
  EXPECT_EQ(paces.verdicts()[1].factor(), 2);
  EXPECT_TRUE(paces.aged());
  paces.keep();
  EXPECT_FALSE(paces.aged());
  EXPECT_TRUE(run.plan_serves(9));
  EXPECT_FALSE(paces.take(4));
  paces.forget();
  EXPECT_TRUE(paces.take(4));
  EXPECT_FALSE(paces.verdicts()[1].slow());
}

TEST(slow_followed_paces, ranks_tell_each_other_where_the_work_watches) {
  auto const t = dense_training(2, 2, 2);
  watched work(dense_work_of(t));
  detail::followed_paces<watched> paces(work);
  auto plan = plan_iteration(one_f_one_b{}, t.job, work.tensors());
  auto const before = plan.iteration->instructions();
  paces.tell_in(plan, 1);
  EXPECT_EQ(plan.iteration->instructions(), before);
  paces.watch(t.job, {});
  paces.tell_in(plan, 1);
  EXPECT_EQ(plan.iteration->instructions(), before + 6 * 4 - 4);

  dense_work plain = dense_work_of(t);
  detail::followed_paces<dense_work> none(plain);
  EXPECT_FALSE(none.take(1));
  none.tell_in(plan, 1);
  EXPECT_EQ(plan.iteration->instructions(), before + 6 * 4 - 4);
}

}  // namespace
}  // namespace shunt::tests::followed_paces_test
