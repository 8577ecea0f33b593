// Programs on streams and graphs, without a device: what order the events must be in, and that no
// order they allow changes a bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "host_streams.hpp"
#include "shunt/check/program.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/streams/stream_plan.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/step_validation.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_h1.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "toys.hpp"

namespace {

using namespace shunt;
using namespace toys;

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
              {reads[1], reads[0].size / static_cast<byte_count>(p.groups[i.group].size())});
        }
  }

  void operator()(rank_id r, task const& t) {
    mixing_work::operator()(r, t);
    if (t.op.kind == op_kind::validate) {  // verdict, record -> redo, again
      std::uint64_t sum = 0;
      for (auto const byte : bytes(r, t.reads[0]))
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

std::vector<std::shared_ptr<program const>> repeated(program p, int times) {
  return std::vector(static_cast<std::size_t>(times),
                     std::shared_ptr<program const>(std::make_shared<program>(std::move(p))));
}

/// The same bits as the reference, however streams are interleaved, on streams and as graphs.
void expect_same_bits(std::vector<std::shared_ptr<program const>> const& programs,
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

program lowered(pipeline_job const& job, pipeline_schedule const& plan,
                message_layout const& layout = {}) {
  pipeline_tensors const tensors{.activation = 24, .stash = 16, .gradient = 16, .state = 40};
  return lower(job, plan, tensors, layout);
}

pipeline_job small_job(std::vector<worker> dead = {}) {
  pipeline_job job{.pipelines = 3, .stages = 3, .microbatches = 4};
  job.costs = {.forward = 1, .backward_input = 1, .backward_weight = 1, .step = 2};
  job.dead = std::move(dead);
  return job;
}

TEST(streams, give_the_bits_of_random_programs) {
  dice d(23);
  for (int round = 0; round < 40; ++round) {
    auto const a = std::make_shared<program const>(random_program(d, 1 + round % 4));
    expect_same_bits({a, a, a}, "program " + std::to_string(round), 3);
  }
}

TEST(streams, give_the_bits_of_lowered_pipelines) {
  for (auto const lanes :
       {message_lanes::one_per_edge, message_lanes::one_per_peer, message_lanes::one_per_rank})
    for (std::int32_t const spare : {0, 1}) {
      auto const job = small_job({{.pipeline = 1, .stage = 2}});
      auto const plan = slipstream{}(job);
      auto const p = lowered(job, plan.plan, {lanes, spare});
      expect_same_bits(repeated(p, 2),
                       "slipstream, lanes " + std::to_string(static_cast<int>(lanes)), 3);
    }
}

TEST(streams, carry_on_with_another_plan) {
  auto const whole = small_job(), broken = small_job({{.pipeline = 0, .stage = 1}});
  auto const a = std::make_shared<program const>(lowered(whole, slipstream{}(whole).plan));
  auto const b = std::make_shared<program const>(lowered(broken, slipstream{}(broken).plan));
  // the work must have room for both
  auto room = *a;
  for (rank_id const r : ids<rank_id>(a->ranks.size())) {
    auto& own = room.ranks[r].buffers;
    auto const& other = b->ranks[r].buffers;
    if (own.size() < other.size()) own.resize(other.size());
    for (buffer_id const k : ids<buffer_id>(other.size()))
      own[k].size = std::max(own[k].size, other[k].size);
  }
  expect_same_bits({std::make_shared<program const>(room), b, a, b}, "plans by turns", 3);
}

TEST(streams, validate_steps_by_words_on_the_device) {
  auto const job = small_job();
  for (auto const when : {validation::before_step, validation::in_next_iteration}) {
    auto const v = validated(lowered(job, slipstream{}(job).plan), when);
    auto programs = repeated(v.iteration, 2);
    programs.push_back(std::make_shared<program const>(v.closing));
    expect_same_bits(programs, "validated steps", 3);
  }
}

TEST(streams, exchange_by_counts_on_the_device) {
  expert_layers const problem{.layers = 2,
                              .experts = 6,
                              .loads = {9, 1, 4, 4, 2, 1, 1, 1, 1, 9, 9, 2},
                              .slots_per_rank = {3, 2, 3, 2}};
  expert_layers const later{.layers = 2,
                            .experts = 6,
                            .loads = {1, 1, 1, 1, 9, 9, 4, 4, 4, 1, 1, 1},
                            .slots_per_rank = {3, 2, 3, 2}};
  optimizer_state const state{.experts = 6, .ranks = 4, .elements = 5};
  auto const shards = uniform_shards{}(state).plan;
  auto const now = swift_moe{}(problem).plan, next = swift_moe{}(later).plan;
  moe_shape const shape{.layers = 2,
                        .tokens = 4,
                        .slot_capacity = 4,
                        .token_bytes = 8,
                        .hidden_bytes = 16,
                        .kept_bytes = 24,
                        .dense_bytes = 32,
                        .sums = 3,
                        .experts = state};
  auto const iteration = [&](expert_placement const& p) {
    return std::make_shared<program const>(lower(shape, p, shards, gradient_collection{}));
  };
  auto const scatter = [&](expert_placement const& p) {
    return std::make_shared<program const>(lower(shape, p, shards, weight_scatter{}));
  };
  expect_same_bits(
      {scatter(now), iteration(now), scatter(next), iteration(next), scatter(now), iteration(now)},
      "MoE");
}

TEST(streams, name_what_they_enqueue_as_timelines_do) {
  auto const job = small_job();
  auto const p = lowered(job, one_f_one_b{}(job).plan);
  lawful_work w(p);
  auto const executor = on_host_streams(1);
  executor.system->keep_names = true;
  auto const o = executor.run(p, w);
  auto names = executor.system->names;
  std::vector<std::string> expected{"program 0"};
  auto const d = find_dependencies(p);
  for (auto const& e : o.timeline.events) {
    auto const partner = d.partner[static_cast<std::size_t>(d.number({e.rank, e.instruction}))];
    bool const follows =
        is_collective(e.code) && d.members_of(d.meetings[static_cast<std::size_t>(partner)])[0] !=
                                     d.number({e.rank, e.instruction});
    if (!follows) expected.push_back(name_of(e.code, e.op));
  }
  std::sort(names.begin(), names.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
  EXPECT_NE(std::find(names.begin(), names.end(), "forward 2:3"), names.end());
}

std::vector<stream_command> commands_of(program const& p, stream_command::code c) {
  auto const d = find_dependencies(p);
  auto found = plan_streams(p, d, serial_order(p, d)).commands;
  std::erase_if(found, [&](auto const& x) { return x.todo != c; });
  return found;
}

TEST(stream_plan, waits_once_for_what_it_does_not_know) {
  using code = stream_command::code;
  program_builder b(1);
  for (int k = 0; k < 4; ++k) b.buffer(0, 8, true);
  auto const first = b.compute(0, {}, {}, {{0, 0, 8}});                                // lane 0
  auto const second = b.copy(0, {0, 0, 8}, {1, 0, 8}, {.lane = 1, .after = {first}});  // waits
  b.copy(0, {0, 0, 8}, {2, 0, 8}, {.lane = 1, .after = {first}});                      // knows
  b.copy(0, {1, 0, 8}, {3, 0, 8},
         {.lane = 2, .after = {first, second}});  // the second knows of the first
  b.compute(0, {.microbatch = 1}, {{3, 0, 8}}, {{3, 0, 8}},
            {.after = {second, 3}});  // the last copy knows of the second
  auto const& p = b.peek();
  ASSERT_TRUE(check(p).empty()) << to_string(check(p).front());
  // lanes 1 and 2 for the list's begin, the three waits above, and the join of lane 1 (its second
  // copy)
  EXPECT_EQ(commands_of(p, code::wait).size(), 2U + 3U + 1U);
  EXPECT_EQ(commands_of(p, code::record).size(), 1U + 3U + 1U);

  program_builder one(2);  // one lane, no other rank: no event at all
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    one.buffer(r, 8, true);
    one.compute(r, {}, {}, {{0, 0, 8}});
    one.fill(r, {0, 0, 8});
  }
  EXPECT_TRUE(commands_of(one.peek(), code::wait).empty());
  EXPECT_TRUE(commands_of(one.peek(), code::record).empty());
}

TEST(stream_plan, a_message_waits_for_its_place_unless_the_sender_knows_it_is_free) {
  using code = stream_command::code;
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) b.buffer(r, 8, true);
  b.send(0, 1, {0, 0, 8});
  b.receive(1, 0, {0, 0, 8});
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous).size(), 1U);
  b.send(1, 0, {0, 0, 8});  // the answer says that the first has come, and the next program's
                            // message that the answer has
  b.receive(0, 1, {0, 0, 8});
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous).size(), 1U);
  EXPECT_EQ(commands_of(b.peek(), code::wait_previous)[0].stream, 1);
  expect_same_bits(repeated(b.peek(), 5), "ping-pong", 9);
}

TEST(stream_plan, refuses_what_a_device_can_not_address) {
  auto const refused = [](program const& p, std::string const& why) {
    mixing_work w(p);
    try {
      (void)on_host_streams(1).run(p, w);
      ADD_FAILURE() << "not refused";
    } catch (invalid_program const& e) {
      EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
  };
  program_builder b(1);
  b.buffer(0, 32, true);
  b.buffer(0, 32, true);
  b.add(0, element::float64, {0, 4, 16}, {1, 0, 16});
  refused(
      b.peek(),
      "rank 0, instruction 0: a device can't address bytes [4, +16) of buffer 0 as elements of 8");
  program_builder c(1);
  c.buffer(0, 32, true);
  c.fill(0, {0, 16, 16}, {.condition = {0, 4, 8}});
  refused(c.peek(), "bytes [4, +8) of buffer 0 as elements of 8");
  program_builder d(1);
  d.buffer(0, 32, true);
  d.buffer(0, 32, true);
  d.copy(0, {0, 0, 16}, {1, 0, 8});
  refused(d.peek(), "source and target differ in size");
}

TEST(streams, find_conditions_that_disagree) {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}}) {
    b.buffer(r, 8, true);
    b.buffer(r, 8, true);
  }
  placing const when{.condition = {1, 0, 8}};
  b.send(0, 1, {0, 0, 8}, 0, when);
  b.receive(1, 0, {0, 0, 8}, 0, when);
  for (int const one : {0, 1}) {
    mixing_work w(b.peek());
    std::int64_t const yes = 1;
    std::memcpy(w.buffer(one, 1).data(), &yes, sizeof yes);
    EXPECT_THROW((void)on_host_streams(1).run(b.peek(), w), invalid_program);
    EXPECT_THROW((void)as_host_graphs(1).run(b.peek(), w), invalid_program);
  }
}

/// A work that enqueues itself, as one on a device does: it reads its iteration and its condition
/// when the stream gets there.
struct enqueued_work {
  host_streams* system;
  mixing_work* host;
  void operator()(rank_id r, stream_task const& t, host_streams::stream_ref on) {
    system->call(on, [w = host, r, t] {
      if (!t.condition || *t.condition != 0) (*w)(r, task{t.op, *t.iteration, t.reads, t.writes});
    });
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) { return host->buffer(r, b); }
};

static_assert(stream_work<enqueued_work, host_streams::stream_ref> && !work<enqueued_work>);
static_assert(work_on_streams<enqueued_work, host_streams> &&
              work_on_streams<mixing_work, host_streams>);

TEST(streams, run_a_work_that_enqueues_itself) {
  dice d(5);
  for (int round = 0; round < 10; ++round) {
    auto const p = std::make_shared<program const>(random_program(d, 2));
    mixing_work expected(*p), host(*p);
    auto a = inline_executor{}.open(expected, 7);
    auto const executor = on_host_streams(static_cast<std::uint64_t>(round));
    enqueued_work w{executor.system.get(), &host};
    auto b = executor.open(w, 7);
    for (int n = 0; n < 3; ++n) a.submit(p), b.submit(p);
    (void)a.wait();
    (void)b.wait();
    EXPECT_TRUE(host == expected);
  }
}

TEST(graphs, are_made_once_and_updated_where_their_shape_stays) {
  program_builder near(2), far(2), other(2);
  for (auto* b : {&near, &far, &other})
    for (rank_id const r : {rank_id{0}, rank_id{1}})
      for (int k = 0; k < 3; ++k) b->buffer(r, 8, true);
  auto const pass = [](program_builder& b, buffer_id from) {
    b.compute(0, {}, {{from, 0, 8}}, {{from, 0, 8}});
    b.send(0, 1, {from, 0, 8});
    b.receive(1, 0, {2, 0, 8});
  };
  pass(near, 0), pass(far, 1), pass(other, 1);
  other.fill(0, {0, 0, 8});
  auto const share = [](program_builder const& b) {
    return std::make_shared<program const>(b.peek());
  };
  auto const a = share(near), b = share(far), c = share(other);

  mixing_work w(*a), expected(*a);
  auto const executor = as_host_graphs(3);
  auto const untimed = graph_executor<host_streams>{.system = executor.system.get()};
  auto session = untimed.open(w, 0);
  auto reference = inline_executor{}.open(expected, 0);
  auto const submit = [&](std::shared_ptr<program const> const& p) {
    session.submit(p), reference.submit(p);
  };
  for (int n = 0; n < 3; ++n) submit(a);
  EXPECT_EQ(session.graphs(), (graph_counts{.made = 1, .launched = 3}));
  submit(b);  // the same shape, other buffers
  EXPECT_EQ(session.graphs(), (graph_counts{.made = 1, .updated = 1, .launched = 4}));
  submit(c);  // another shape: the second graph
  submit(b);
  EXPECT_EQ(session.graphs(), (graph_counts{.made = 2, .updated = 1, .launched = 6}));
  auto third = other.peek();
  third.ranks[1].instructions.pop_back();
  third.ranks[0].instructions.erase(third.ranks[0].instructions.begin() + 1);
  submit(std::make_shared<program const>(third));  // in place of the one not launched for longest
  EXPECT_EQ(session.graphs(), (graph_counts{.made = 2, .updated = 1, .remade = 1, .launched = 7}));
  auto const o = session.wait();
  EXPECT_EQ(o.done, reference.wait().done);
  EXPECT_TRUE(o.timeline.events.empty());  // untimed
  EXPECT_TRUE(w == expected);
}

TEST(host_streams, finds_what_cuda_passes_over) {
  host_streams s(1);
  auto const a = s.make_stream(), b = s.make_stream();
  auto e = s.make_event(), f = s.make_event();
  EXPECT_THROW(s.wait(a, e), std::logic_error);
  s.begin_capture(a);
  EXPECT_THROW(s.fill(b, {}, nullptr), std::logic_error);  // nothing has tied it to the capture
  s.record(e, a);
  s.wait(b, e);
  s.fill(b, {}, nullptr);
  host_streams::graph g;
  EXPECT_THROW(s.end_capture(a, g), std::logic_error);  // b doesn't come back
  s.record(f, b);
  EXPECT_THROW(s.wait(a, e), std::logic_error);  // the capture is over
}

/// The double notices what a forgotten wait does to the bits. Others keep an order that the program
/// asks for and no byte happens to need.
TEST(streams, need_the_events_they_have) {
  pipeline_job job{.pipelines = 2, .stages = 3, .microbatches = 3};
  auto const programs = repeated(lowered(job, zb_h1{}(job).plan), 2);
  lawful_work expected(*programs[0]);
  (void)run_all(inline_executor{}, programs, expected);
  std::int64_t of_second = 0, last = 0;
  auto const same = [&](std::uint64_t seed, std::int64_t forgotten) {
    auto const executor = on_host_streams(
        seed, {}, seed % 3 == 0 ? host_streams::temper::lazy : host_streams::temper::random);
    executor.system->drop_wait = forgotten;
    lawful_work w(*programs[0]);
    auto session = executor.open(w, 3);
    session.submit(programs[0]);
    of_second = executor.system->waits();
    session.submit(programs[1]);
    last = executor.system->waits();
    (void)session.wait();
    return w == expected;
  };
  ASSERT_TRUE(same(0, 0));
  std::int64_t const first = of_second + 1, end = last + 1;
  std::int64_t noticed = 0, tried = 0;
  for (auto n = first; n < end; n += 5, ++tried) {
    bool all = true;
    for (std::uint64_t seed = 0; seed < 6 && all; ++seed) all = same(seed, n);
    noticed += !all;
  }
  EXPECT_GT(tried, 20);
  EXPECT_GT(4 * noticed, tried) << noticed << " of " << tried;
}

}  // namespace
