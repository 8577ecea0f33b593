// Recovery over a virtual network, disk and clock: the agreement, epochs and joins of `gloo/` under
// seeded faults, in one process. What holds in every history stands in support/simulated/judge.hpp.
// See docs/contributing.md: how to run many, and how to play one again.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <type_traits>
#include <vector>

#include "support/simulated/history.hpp"
#include "support/simulated/judge.hpp"
#include "support/simulated/rehearsal.hpp"
#include "support/simulated/shrink.hpp"

#ifdef SHUNT_FIBERS_UNDER_ASAN
// What a killed process has allocated is not freed.
extern "C" char const* __asan_default_options();
extern "C" char const* __asan_default_options() { return "detect_leaks=0"; }
#endif

namespace shunt::tests::histories {
namespace {

using namespace simulated;

// Under sanitizers a history takes fifty times as long.
#ifdef SHUNT_FIBERS_UNDER_ASAN
constexpr std::uint64_t random_ones = 60, seeds_of_each = 2;
#else
constexpr std::uint64_t random_ones = 400, seeds_of_each = 5;
#endif

/// Histories that failed once, one a line; lines with # say why.
constexpr char const* found_before = SHUNT_TEST_DATA "/histories.txt";

std::vector<history> of_file(std::string const& name) {
  std::vector<history> all;
  std::ifstream in(name);
  for (std::string line; std::getline(in, line);)
    if (!line.empty() && line.front() != '#') all.push_back(history_of(line));
  return all;
}

TEST(histories, stand_as_text) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    auto const text = to_text(random_history(seed));
    EXPECT_EQ(to_text(history_of(text)), text);
  }
  EXPECT_THROW((void)history_of("seed=1 strike=1@2"), std::invalid_argument);
  EXPECT_THROW((void)history_of("seed=1 kill=one@2"), std::invalid_argument);
}

TEST(histories, take_the_same_course_again) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    auto const h = random_history(seed);
    auto const first = rehearsal(h)(), again = rehearsal(h)();
    EXPECT_EQ(first.trace, again.trace) << to_text(h);
    EXPECT_EQ(first.ended, again.ended) << to_text(h);
  }
}

TEST(histories, that_failed_once_do_not_fail) {
  auto const all = of_file(found_before);
  ASSERT_FALSE(all.empty());
  for (auto h : all)
    for (std::uint64_t n = 0; n < seeds_of_each; ++n, ++h.seed)
      EXPECT_EQ(faults_of(h), std::vector<std::string>{}) << to_text(h);
}

TEST(histories, end_as_if_nothing_had_happened) {
  for (std::uint64_t seed = 1; seed <= random_ones; ++seed) {
    auto const h = random_history(seed);
    EXPECT_EQ(faults_of(h), std::vector<std::string>{}) << to_text(h);
  }
}

TEST(histories, shrink_to_what_matters) {
  auto const h = history_of(
      "seed=5 job=4x2x4 iterations=8 lost=50 join=1@3 kill=1@40 stop=0,2@100+300 full=@200+100");
  auto const least = shrunk(h, [](history const& one) {
    return one.faults.end() !=
           std::find_if(one.faults.begin(), one.faults.end(),
                        [](auto const& f) { return f.kind == fault_kind::stop && f.lasts > 100; });
  });
  EXPECT_EQ(to_text(least),
            "seed=5 job=3x1x3 iterations=2 silence=200 patience=1000 lost=0 stop=0@100+150");
}

// --- many histories ---

/// What happened in some histories.
struct tally {
  std::int64_t histories = 0, failed = 0, events = 0, decisions = 0, losses = 0, joins = 0;
  nanos lived = 0;
  std::array<std::int64_t, fault_names.size()> faults{};

  void add(tally const& more) {
    histories += more.histories, failed += more.failed, events += more.events;
    decisions += more.decisions, losses += more.losses, joins += more.joins;
    lived += more.lived;
    for (std::size_t i = 0; i < faults.size(); ++i) faults[i] += more.faults[i];
  }
};
static_assert(std::is_trivially_copyable_v<tally>);

/// Says what is wrong, shrinks the history and keeps the least one among those found.
void tell(history const& h, std::vector<std::string> const& wrong) {
  std::cout << "failed: " << to_text(h) << '\n';
  for (auto const& w : wrong) std::cout << "  " << w << '\n';
  auto const least = shrunk(h, [](history const& one) { return !faults_of(one).empty(); });
  std::cout << "  shrunk: " << to_text(least) << std::endl;
  std::ofstream(found_before, std::ios::app) << "# " << faults_of(least).front() << '\n'
                                             << to_text(least) << '\n';
}

void play(history const& h, tally& all) {
  auto const seen = rehearsal(h)();
  judge of(seen);
  auto const wrong = of();
  ++all.histories;
  all.events += seen.events;
  all.lived += seen.ended - seen.begun;
  all.decisions += of.decisions();
  all.losses += of.losses();
  for (auto const& l : seen.lives) all.joins += l->joins && l->finished;
  for (auto const& f : seen.faults) ++all.faults[static_cast<std::size_t>(f.what.kind)];
  if (wrong.empty()) return;
  ++all.failed;
  tell(h, wrong);
}

/// Processes that play histories: each some hundred, for what a killed virtual process has
/// allocated is not freed.
int play_many(double seconds, std::uint64_t seed, int jobs) {
  using clock = std::chrono::steady_clock;
  auto const begun = clock::now();
  auto const end = begun + std::chrono::duration<double>(seconds);
  constexpr std::uint64_t together = 250;
  struct job {
    pid_t process;
    int results;
    std::uint64_t first;
  };
  std::vector<job> running;
  tally all;
  int crashed = 0;
  auto const take = [&](job const& j) {
    tally some;
    if (read(j.results, &some, sizeof some) == static_cast<ssize_t>(sizeof some))
      all.add(some);
    else
      ++crashed,
          std::cout << "crashed: one of " << together << " from seed " << j.first << std::endl;
    close(j.results);
    waitpid(j.process, nullptr, 0);
  };
  while (clock::now() < end || !running.empty()) {
    while (clock::now() < end && static_cast<int>(running.size()) < jobs) {
      int ends[2];
      if (pipe(ends) != 0) return 2;
      std::cout.flush();
      pid_t const child = fork();
      if (child < 0) return 2;
      if (child == 0) {
        tally some;
        for (auto s = seed; s < seed + together && clock::now() < end; ++s)
          play(random_history(s), some);
        _exit(write(ends[1], &some, sizeof some) == static_cast<ssize_t>(sizeof some) ? 0 : 1);
      }
      close(ends[1]);
      running.push_back({child, ends[0], seed});
      seed += together;
    }
    take(running.front());
    running.erase(running.begin());
  }
  double const took = std::chrono::duration<double>(clock::now() - begun).count();
  std::cout << all.histories << " histories in " << took << " s, "
            << static_cast<double>(all.histories) / took << " a second with " << jobs
            << " processes\nfaults:";
  for (std::size_t i = 0; i < all.faults.size(); ++i)
    std::cout << ' ' << fault_names[i] << ' ' << all.faults[i];
  std::cout << "\ndecisions " << all.decisions << ", ranks lost " << all.losses
            << ", new processes at the end " << all.joins << ", events " << all.events
            << ", virtual seconds " << all.lived / (1000 * millisecond) << "\nfailed " << all.failed
            << ", crashed " << crashed << '\n';
  return all.failed == 0 && crashed == 0 && all.histories > 0 ? 0 : 1;
}

int replay(std::string const& text) {
  auto const h = history_of(text);
  auto const seen = rehearsal(h)();
  print(std::cout, seen);
  auto const wrong = judge(seen)();
  for (auto const& w : wrong) std::cout << "wrong: " << w << '\n';
  return wrong.empty() ? 0 : 1;
}

int run(int count, char** words) {
  std::string replayed;
  double seconds = 0;
  std::uint64_t seed = 1;
  int jobs = 2;
  for (int i = 1; i + 1 < count; i += 2) {
    std::string const name = words[i];
    if (name == "--seconds")
      seconds = std::stod(words[i + 1]);
    else if (name == "--seed")
      seed = std::stoull(words[i + 1]);
    else if (name == "--jobs")
      jobs = std::stoi(words[i + 1]);
    else if (name == "--replay")
      replayed = words[i + 1];
    else
      --i;
  }
  if (!replayed.empty()) return replay(replayed);
  if (seconds > 0) return play_many(seconds, seed, jobs);
  testing::InitGoogleTest(&count, words);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace shunt::tests::histories

/// [--seconds N [--seed N] [--jobs N]] plays random histories for so long; [--replay TEXT] plays
/// one and prints what is seen; without these the tests run.
int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return shunt::tests::histories::run(count, words);
  } catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
