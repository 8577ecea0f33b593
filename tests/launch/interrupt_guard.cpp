#include "shunt/launch/interrupt_guard.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace shunt::tests::interrupt_guard_test {
namespace {

TEST(interrupt_guard, hears_a_request_where_it_is_asked_for) {
  sigset_t before, after;
  ::sigprocmask(SIG_SETMASK, nullptr, &before);
  {
    interrupt_guard const guard;
    EXPECT_NO_THROW(interrupt_guard::check());
    ::raise(SIGTERM);  // blocked
    EXPECT_NO_THROW(interrupt_guard::check());
    ::sigsuspend(&guard.mask());
    EXPECT_THROW(interrupt_guard::check(), run_interrupted);
  }
  ::sigprocmask(SIG_SETMASK, nullptr, &after);
  for (int const s : {SIGINT, SIGTERM, SIGHUP})
    EXPECT_EQ(sigismember(&before, s), sigismember(&after, s));
  interrupt_guard const next;
  EXPECT_NO_THROW(interrupt_guard::check());
}

}  // namespace
}  // namespace shunt::tests::interrupt_guard_test
