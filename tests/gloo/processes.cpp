// Training that goes on while its processes are killed: the driver of `execute/recovery.hpp`, once in every process.
#include "shunt/gloo/processes.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "shunt/execute/inline.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/program/builder.hpp"

namespace shunt {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t ranks = 4, microbatches = 6;
constexpr std::int64_t iterations = 40;
constexpr buffer_id state = 0, gradient = 1;

/// Data-parallel training of one number: doing anything twice, in part or with the wrong state shows.
class counting {
 public:
  counting() : of_(ranks) {}

  void operator()(rank_id r, task const& t) {
    auto& me = of_[r.index()];
    if (t.op.kind == op_kind::step) {
      me.kept = me.number[0];
      me.stepped = t.iteration;
      me.number[0] = me.number[0] * 3 % 1'000'003 + me.number[8] + t.iteration;
    } else {
      me.number[8] += (me.number[0] ^ (t.iteration * 100 + t.op.microbatch.value())) % 1009;
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return std::as_writable_bytes(std::span(&of_[r.index()].number[8 * b.index()], 1)); }
  void restore(rank_id r, std::int64_t iteration) {
    auto& me = of_[r.index()];
    if (me.stepped < iteration) return;
    if (me.stepped > iteration) throw std::logic_error("more than one step to undo");
    me.number[0] = me.kept;
    me.stepped = iteration - 1;
  }
  [[nodiscard]] std::int64_t number(rank_id r) const { return of_[r.index()].number[0]; }

 private:
  struct alignas(64) memory {
    std::int64_t number[16]{11};  // the buffers, 64 bytes each: [0] is the state, [8] the gradient
    std::int64_t kept = 0, stepped = -1;
  };
  std::vector<memory> of_;
};

std::optional<program> plan(std::span<rank_id const> dead) {
  program_builder b(ranks);
  std::vector<rank_id> live;
  for (rank_id const r : ids<rank_id>(ranks)) {
    b.buffer(r, state, 8, true);
    b.buffer(r, gradient, 8);
    if (!std::binary_search(dead.begin(), dead.end(), r)) live.push_back(r);
  }
  region const weights{state, 0, 8}, sum{gradient, 0, 8};
  for (rank_id const r : live) b.fill(r, sum);
  for (std::int32_t m = 0; m < microbatches; ++m)
    b.compute(live[static_cast<std::size_t>(m) % live.size()], {.kind = op_kind::backward, .microbatch = m}, {weights, sum}, {sum});
  auto const everyone = b.group(live);
  for (rank_id const r : live) {
    if (live.size() > 1) b.all_reduce(r, everyone, element::int64, reduction::sum, sum);
    b.compute(r, {.kind = op_kind::step}, {sum, weights}, {weights});
  }
  return std::move(b).finish();
}

/// What an undisturbed run ends with.
std::int64_t expected() {
  counting w;
  auto session = inline_executor{}.open(w);
  for (std::int64_t k = 0; k < iterations; ++k) session.submit(*plan({}));
  (void)session.wait();
  return w.number(0);
}

struct life {
  pid_t process = 0;
  int status() const {
    int how = 0;
    waitpid(process, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
  }
};

/// A process: 0 where it ends with the right number after all iterations, with these ranks dead.
int train(std::string const& directory, rank_id self, std::vector<fault> const& faults, std::vector<rank_id> const& dead, std::int64_t wanted) {
  std::signal(SIGPIPE, SIG_IGN);
  counting w;
  gloo_processes const here({.directory = directory, .silence = 2000ms}, ranks, self, faults);
  std::int64_t heard = 0;
  auto const report = run_through_losses(here, w, {.end = iterations}, plan, [&](completed_iteration const& done) {
    if (done.iteration != heard++) throw std::logic_error("an iteration was announced out of turn");
  });
  if (report.end != iterations || heard != iterations) return 2;
  if (report.dead != dead) return 3;
  return w.number(self) == wanted ? 0 : 4;
}

std::vector<int> run(std::vector<fault> const& faults, std::vector<rank_id> const& dead) {
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  std::int64_t const wanted = expected();
  std::vector<life> all;
  for (rank_id const r : ids<rank_id>(ranks)) {
    pid_t const child = fork();
    if (child == 0) {
      int status = 99;
      try {
        status = train(directory, r, faults, dead, wanted);
      } catch (std::exception const& error) {
        fprintf(stderr, "rank %d: %s\n", r.value(), error.what());
      }
      _exit(status);
    }
    all.push_back({child});
  }
  std::vector<int> statuses;
  for (life const& l : all) statuses.push_back(l.status());
  std::filesystem::remove_all(directory);
  return statuses;
}

TEST(gloo_processes, train_undisturbed) { EXPECT_EQ(run({}, {}), (std::vector<int>{0, 0, 0, 0})); }

TEST(gloo_processes, go_on_when_one_dies) {
  std::mt19937_64 random(5);
  for (rank_id const r : ids<rank_id>(ranks)) {
    fault const f{r, static_cast<std::int64_t>(random() % iterations), static_cast<std::int32_t>(random() % 5)};
    SCOPED_TRACE("rank " + std::to_string(r.value()) + " iteration " + std::to_string(f.iteration));
    std::vector<int> statuses(4, 0);
    statuses[r.index()] = 137;
    EXPECT_EQ(run({f}, {r}), statuses);
  }
}

TEST(gloo_processes, go_on_when_one_after_another_dies) {
  EXPECT_EQ(run({{2, 3, 1}, {0, 17, 4}, {3, 39, 2}}, {0, 2, 3}), (std::vector<int>{137, 0, 137, 137}));
}

TEST(gloo_processes, go_on_when_two_die_at_once) { EXPECT_EQ(run({{1, 11, 2}, {2, 11, 2}}, {1, 2}), (std::vector<int>{0, 137, 137, 0})); }

TEST(gloo_processes, refuse_programs_for_others) {
  std::signal(SIGPIPE, SIG_IGN);
  std::string directory = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
  mkdtemp(directory.data());
  counting w;
  gloo_processes const here({.directory = directory}, 1, 0);
  {
    auto session = here.open(w);
    EXPECT_THROW(session.submit(*plan({})), invalid_program);
    EXPECT_EQ(session.wait().done[0], (progress{0, 0}));
    EXPECT_THROW(session.submit(*plan({})), std::logic_error);
  }
  EXPECT_EQ(here.epoch(), 1);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace shunt
