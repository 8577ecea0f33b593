#pragma once
/// Programs on the streams and graphs of the host double, compared with the reference.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::stream_runs {

/// A mixing work whose counts fit their parts and whose verdicts are the same wherever the same is
/// known.
class lawful_work : public mixing_work {
 public:
  explicit lawful_work(program const& p) : mixing_work(p) {}

  /// What a program's exchanges read as counts stays within their parts from now on.
  void obey(program const& p) {
    counts_.resize(p.ranks.size());
    for (rank_id const r : ids<rank_id>(p.ranks.size()))
      for (auto const& i : p.ranks[r].instructions)
        if (i.code == opcode::exchange) {
          auto const reads = p.ranks[r].reads(i);
          counts_[r.index()].push_back(
              {reads.back(),
               reads.front().size / static_cast<byte_count>(p.groups[i.group].size())});
        }
  }

  void operator()(rank_id r, task const& t) {
    mixing_work::operator()(r, t);
    if (t.op.kind == op_kind::validate_step) {  // verdict, record -> redo, again
      std::uint64_t sum = 0;
      for (auto const byte : bytes(r, t.reads.front()))
        sum = sum * 31 + std::to_integer<std::uint64_t>(byte);
      for (region const& word : t.writes) {
        std::int64_t const runs = sum / 8 % 2 == 0;
        std::memcpy(bytes(r, word).data(), &runs, sizeof runs);
      }
    }
    if (counts_.empty()) return;
    for (auto const& c : counts_[r.index()])
      for (region const& x : t.writes)
        if (x == c.where)
          for (std::size_t at = 0; at < static_cast<std::size_t>(x.size);
               at += sizeof(std::int64_t)) {
            std::int64_t count = 0;
            std::memcpy(&count, bytes(r, x).data() + at, sizeof count);
            count = (count < 0 ? -(count + 1) : count) % (c.most + 1);
            std::memcpy(bytes(r, x).data() + at, &count, sizeof count);
          }
  }

 private:
  struct limit {
    region where{};
    byte_count most = 0;
  };
  std::vector<std::vector<limit>> counts_{};  // by rank
};

static_assert(work<lawful_work>);

/// Runs programs one after the other on a work that fits the first of them, or all.
template <class Executor>
outcome run_all(Executor const& executor,
                std::vector<std::shared_ptr<program const>> const& programs, lawful_work& w) {
  for (auto const& p : programs) w.obey(*p);
  auto session = executor.open(w, 3);
  for (auto const& p : programs) session.submit(p);
  return session.wait();
}

inline std::vector<std::shared_ptr<program const>> repeated(program p, int times) {
  return std::vector(static_cast<std::size_t>(times),
                     std::shared_ptr<program const>(std::make_shared<program>(std::move(p))));
}

/// The same bits as the reference, however streams are interleaved, on streams and as graphs.
inline void expect_same_bits(std::vector<std::shared_ptr<program const>> const& programs,
                             std::string const& what, std::uint64_t seeds = 6) {
  program const& first = *programs.front();
  ASSERT_TRUE(check(first).empty()) << what << ": " << to_string(check(first).front());
  lawful_work expected(first);
  auto const reference = run_all(inline_executor{}, programs, expected);
  using temper = host_streams::temper;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    auto const t = seed == 0 ? temper::eager : seed == 1 ? temper::lazy : temper::random;
    lawful_work on_streams(first), as_graphs(first);
    auto const a = run_all(on_host_streams(seed, {}, t), programs, on_streams);
    auto const b = run_all(as_host_graphs(seed, {}, t), programs, as_graphs);
    ASSERT_TRUE(on_streams == expected) << what << ", streams, seed " << seed;
    ASSERT_TRUE(as_graphs == expected) << what << ", graphs, seed " << seed;
    EXPECT_EQ(a.done, reference.done);
    EXPECT_EQ(b.done, reference.done);
    EXPECT_EQ(a.timeline.events.size(), reference.timeline.events.size());
    EXPECT_EQ(b.timeline.events.size(), reference.timeline.events.size());
  }
}

inline program lowered(pipeline_job const& job, pipeline_schedule const& plan,
                       message_layout const& layout = {}) {
  pipeline_tensors const tensors{.activation = 24, .stash = 16, .gradient = 16, .state = 40};
  return lower(job, plan, tensors, layout);
}

inline pipeline_job small_job(std::vector<worker> dead = {}) {
  pipeline_job job{.pipelines = 3, .stages = 3, .microbatches = 4};
  job.costs = {.forward = 1, .backward_input = 1, .backward_weight = 1, .step = 2};
  job.dead = std::move(dead);
  return job;
}

}  // namespace shunt::tests::stream_runs
