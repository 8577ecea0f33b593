// The stream work of adaptive_experts on streams of the host: the bits of a run don't depend on the
// order in which streams and threads get their turns, on where experts are, nor on who is lost;
// losses are near the host's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "../../examples/adaptive_experts/outcome.hpp"
#include "../../examples/adaptive_experts/streams/model.hpp"
#include "../../examples/adaptive_experts/training.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "support/device_on_host.hpp"
#include "support/small_experts.hpp"

namespace example::tests::adaptive_experts_on_streams_test {
namespace {

using namespace small_experts;
using shunt::rank_id;
using buffers = shunt::moe_buffers;

/// And products of doubles, and teams whose threads get their turns in one of several orders.
class host_device : public shunt::tests::device_on_host {
 public:
  using shunt::tests::device_on_host::device_on_host;

  using shunt::tests::device_on_host::multiply;
  void multiply(stream_ref on, shunt::product_shape const& s, double const* a, double const* b,
                double* c) {
    streams().call(on, [=] {
      for (std::int64_t i = 0; i < s.rows; ++i)
        for (std::int64_t j = 0; j < s.columns; ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < s.inner; ++k)
            sum += (s.transpose_a ? a[k * s.rows + i] : a[i * s.inner + k]) *
                   (s.transpose_b ? b[j * s.inner + k] : b[k * s.columns + j]);
          c[i * s.columns + j] = sum;
        }
    });
  }
  template <class F>
  void team(stream_ref on, F const& f, std::int64_t const* condition) {
    streams().call(on, [f, condition, turn = turn_++] {
      if (condition && *condition == 0) return;
      std::vector<std::uint64_t> shared(static_cast<std::size_t>(f.shared_bytes() + 7) / 8,
                                        0xa5a5a5a5a5a5a5a5);
      f(shunt::emulated_team(64, turn), 0, reinterpret_cast<unsigned char*>(shared.data()));
    });
  }

 private:
  std::uint32_t turn_ = 0;
};
static_assert(moe::device<host_device>);
using host_work = moe::stream_work<host_device>;
static_assert(shunt::stream_work<host_work, shunt::tests::host_streams::stream_ref> &&
              shunt::restorable<host_work>);

training_setup mirrored() {
  auto s = small();
  s.ranks = 5;
  s.copies = 2;
  return s;
}

/// A run, as far as it must not depend on where experts are nor on who is lost.
struct outcome_of_run {
  std::vector<double> losses;
  std::vector<float> parameters;
  std::vector<rank_id> dead;
  std::int32_t steps_undone = 0;
  bool same_bits(outcome_of_run const& other) const {
    return losses == other.losses && parameters == other.parameters;
  }
};
template <class Training>
outcome_of_run run(Training& training, std::int32_t iterations) {
  outcome_of_run all;
  for (std::int32_t t = 0; t < iterations; ++t) all.losses.push_back(training().loss);
  all.parameters = training.parameters();
  all.dead = training.dead();
  for (auto const& l : training.losses()) all.steps_undone += l.steps_undone;
  return all;
}
template <class Executor>
using on_streams = moe_training<Executor, host_work>;
using stream_executor = shunt::stream_executor<shunt::tests::host_streams>;
using graph_executor = shunt::graph_executor<shunt::tests::host_streams>;

template <class Executor>
outcome_of_run run(training_setup const& s, policy const& place, std::uint64_t seed,
                   std::int32_t iterations, std::vector<shunt::failure_point> failures = {}) {
  host_device device(seed, seed == 0   ? shunt::tests::host_streams::temper::eager
                           : seed == 1 ? shunt::tests::host_streams::temper::lazy
                                       : shunt::tests::host_streams::temper::random);
  on_streams<Executor> training(
      s, place, words(), Executor{.system = &device.streams(), .failures = std::move(failures)}, {},
      device);
  return run(training, iterations);
}

TEST(moe_on_streams, trains_as_the_host_does) {
  for (bool const dropless : {true, false}) {
    auto s = small();
    if (!dropless) s.capacity = shunt::capacity_factor{};
    host_device device(3);
    on_streams<stream_executor> training(s, shunt::swift_moe{}, words(),
                                         {.system = &device.streams()}, {}, device);
    moe_training<shunt::inline_executor> host(s, shunt::swift_moe{}, words(), {});
    for (int t = 0; t < 12; ++t) {
      auto const found = training(), expected = host();
      EXPECT_NEAR(found.loss / expected.loss, 1, 1e-5) << t;
      EXPECT_EQ(found.misfits, 0);
      EXPECT_EQ(found.loads, expected.loads) << t;
      EXPECT_EQ(found.dropped, expected.dropped) << t;
      EXPECT_EQ(training.placement(), host.placement()) << t;
      for (rank_id r : shunt::ids<rank_id>(s.ranks))
        for (shunt::layer_id l : shunt::ids<shunt::layer_id>(s.model.layers))
          EXPECT_TRUE(
              std::ranges::equal(training.work().values<std::int64_t>(r, buffers::shares(l)),
                                 host.work().values<std::int64_t>(r, buffers::shares(l))))
              << t;
    }
    auto const found = training.parameters(), expected = host.parameters();
    ASSERT_EQ(found.size(), expected.size());
    double largest = 0;
    for (std::size_t i = 0; i < found.size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(found[i] - expected[i])));
    EXPECT_LT(largest, 1e-3);
  }
}

TEST(moe_on_streams, has_the_same_bits_in_any_order_and_under_any_placement) {
  auto const s = small();
  auto const wanted = run<stream_executor>(s, shunt::uniform{}, 0, 6);
  EXPECT_LT(wanted.losses.back(), wanted.losses.front());
  for (std::uint64_t seed = 1; seed < 4; ++seed) {
    EXPECT_TRUE(run<stream_executor>(s, shunt::swift_moe{}, seed, 6).same_bits(wanted)) << seed;
    EXPECT_TRUE(run<stream_executor>(s, shunt::random_placer(seed), seed, 6).same_bits(wanted))
        << seed;
    EXPECT_TRUE(run<graph_executor>(s, shunt::random_placer(seed + 9), seed, 6).same_bits(wanted))
        << seed;
  }
  auto other = s;
  other.collection.form = shunt::collection_form::reduce_then_gather;
  other.scatter.deduplicate = false;
  EXPECT_TRUE(run<stream_executor>(other, shunt::random_placer(5), 4, 6).same_bits(wanted));
}

TEST(moe_on_streams, instantiates_two_graphs_and_updates_them_where_shapes_stay) {
  auto const count = [](policy const& place) {
    host_device device(6);
    graph_executor const executor{.system = &device.streams()};
    on_streams<graph_executor> training(small(), place, words(), executor, {}, device);
    for (int t = 0; t < 4; ++t) (void)training();
    return executor.kept->counts();
  };
  // The first scatter, then an iteration and a scatter each.
  EXPECT_EQ(count(shunt::uniform{}), (shunt::graph_counts{.made = 2, .updated = 7, .launched = 9}));
  auto const moving = count(shunt::random_placer(3));  // programs of another shape are remade
  EXPECT_EQ(moving.made, 2);
  EXPECT_EQ(moving.updated + moving.remade, 7);
  EXPECT_EQ(moving.launched, 9);
}

TEST(moe_on_streams, has_the_same_bits_when_ranks_are_lost) {
  auto s = mirrored();
  auto wanted = run<stream_executor>(s, shunt::uniform{}, 0, 4);
  std::int32_t lost = 0, undone = 0;
  for (std::int32_t instruction = 0; instruction < 250;
       instruction += 7) {  // amid everything, and after the last one
    std::vector<shunt::failure_point> const one{{instruction % s.ranks, 1, instruction}};
    auto const seed = static_cast<std::uint64_t>(instruction);
    auto const found = instruction % 2 == 0
                           ? run<graph_executor>(s, shunt::swift_moe{}, seed, 4, one)
                           : run<stream_executor>(s, shunt::swift_moe{}, seed, 4, one);
    EXPECT_TRUE(found.same_bits(wanted)) << instruction;
    lost += found.dead.empty() ? 0 : 1;
    undone += found.steps_undone;
  }
  EXPECT_GT(lost, 8);
  EXPECT_GT(undone, 0);

  s.ranks = 7;
  s.copies = 3;
  wanted = run<stream_executor>(s, shunt::uniform{}, 0, 7);
  using training = on_streams<stream_executor>;
  std::vector<std::vector<shunt::failure_point>> const cases{
      {{0, 2, 20}, {1, 2, 50}, {2, 4, 3}, {3, 6, 12}},  // one after another, two in one iteration
      {{3, training::scatter_before(5), 1}},            // while weights travel
      {{6, 3, 20}, {0, shunt::transfer_iteration, 2}},  // while shards travel
      {{6, 3, 20},
       {0, training::scatter_before(3), 1}}};  // while weights travel to be computed with again
  for (std::size_t i = 0; i < cases.size(); ++i) {
    auto const found = run<stream_executor>(s, shunt::swift_moe{}, i, 7, cases[i]);
    EXPECT_TRUE(found.same_bits(wanted)) << "case " << i;
    EXPECT_EQ(found.dead.size(), cases[i].size()) << "case " << i;
  }
}

/// Everything that a rank has.
std::vector<std::vector<std::byte>> contents(host_work& work, shunt::rank_program const& p) {
  std::vector<std::vector<std::byte>> all;
  for (shunt::buffer_id const b : shunt::ids<shunt::buffer_id>(p.buffers.size()))
    if (p.buffers[b].size > 0) all.push_back(work.values<std::byte>(0, b));
  return all;
}

TEST(moe_on_streams, leaves_no_trace_where_a_condition_does_not_hold) {
  auto const s = small();
  host_device device(11);
  on_streams<stream_executor> training(s, shunt::uniform{}, words(), {.system = &device.streams()},
                                       {}, device);
  (void)training();
  auto const& own = training.iteration_program().ranks[0];
  auto const before = contents(training.work(), own);
  auto const stream = device.streams().make_stream();
  std::int64_t const iteration = 1, no = 0, yes = 1;
  std::size_t operations = 0, changes = 0;
  for (auto const& i : own.instructions) {
    if (i.code != shunt::opcode::compute) continue;
    ++operations;
    shunt::stream_task task{i.op, &iteration, &no, own.reads(i), own.writes(i)};
    training.work()(0, task, stream);
    device.settle();
    EXPECT_EQ(contents(training.work(), own), before) << to_string(i.op.kind);
  }
  EXPECT_EQ(operations, 2U * 8 + 1);
  for (auto const& i : own.instructions) {  // and one where it does
    if (i.code != shunt::opcode::compute) continue;
    auto const earlier = contents(training.work(), own);
    training.work()(0, shunt::stream_task{i.op, &iteration, &yes, own.reads(i), own.writes(i)},
                    stream);
    device.settle();
    changes += contents(training.work(), own) != earlier;
  }
  EXPECT_GT(changes, operations / 2);
}

TEST(moe_on_streams, reaches_no_buffer_that_an_operation_does_not_declare) {
  auto const s = small();
  host_device device(12);
  on_streams<stream_executor> training(s, shunt::uniform{}, words(), {.system = &device.streams()},
                                       {}, device);
  auto const stream = device.streams().make_stream();
  std::int64_t const iteration = 0;
  for (auto const kind :
       {shunt::op_kind::route, shunt::op_kind::dispatch, shunt::op_kind::expert_forward,
        shunt::op_kind::combine, shunt::op_kind::combine_backward, shunt::op_kind::expert_backward,
        shunt::op_kind::dispatch_backward, shunt::op_kind::step, shunt::op_kind::backward})
    EXPECT_THROW(training.work()(0, {.op = {.kind = kind}, .iteration = &iteration}, stream),
                 shunt::invalid_program);
}

/// A slot's pass through the function objects has the bits of expert_mlp.
TEST(moe_on_streams, has_the_hosts_bits_inside_an_expert) {
  expert_mlp const expert{.width = 24, .hidden = 40};
  moe_model const model{.experts = 2, .expert = expert};
  auto const weights = initial_expert(model, 1, 0, 0);
  initial_numbers draw(5);
  auto const rows = [&](Eigen::Index count, auto const& grid, double scale) {
    stored_matrix m(count, expert.width);
    draw.fill(m, scale);
    return stored_matrix(
        m.unaryExpr([&](float v) { return static_cast<float>(grid(static_cast<double>(v))); }));
  };
  std::int64_t const count = 61, width = expert.width, inner = expert.hidden;
  auto const x = rows(count, activation_grid, 3), dy = rows(count, gradient_grid, 0.7);
  stored_matrix y(count, width), dx(count, width);
  std::vector<std::int64_t> gradient(weights.size());
  expert.forward(weights, {x.data(), count, width}, {y.data(), count, width});
  ASSERT_TRUE(expert.backward(weights, {x.data(), count, width}, {dy.data(), count, width},
                              {dx.data(), count, width}, gradient));

  // two runs that lie apart, in a slot with room for more
  std::vector<std::uint64_t> memory(moe::workspace(model, 40, 80, nullptr).bytes / 8 + 8,
                                    0xa5a5a5a5a5a5a5a5);
  auto const shift = (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  moe::workspace const room(model, 40, 80, reinterpret_cast<std::byte*>(memory.data()) + shift);
  ASSERT_EQ(room.slot_rows, 80);
  std::int64_t start[] = {3, 50}, end[] = {40, count};
  shunt::slot_rows const at{start, end, 2};
  auto const spread = [&](stored_matrix const& m) {
    stored_matrix all = stored_matrix::Constant(90, width, 7.0F);
    all.middleRows(3, 40) = m.topRows(40);
    all.middleRows(50, 21) = m.bottomRows(21);
    return all;
  };
  auto const arrived = spread(x), incoming = spread(dy);
  stored_matrix answers = stored_matrix::Constant(90, width, 7.0F), below = answers;
  std::vector<std::int64_t> found(weights.size(), -1);
  std::int64_t misfits = 0;

  host_device device(21);
  auto const stream = device.streams().make_stream();
  auto const each = [&](std::int64_t n, auto const& f) { device.each(stream, n, f, nullptr); };
  auto const multiply = [&](shunt::product_shape const& s, double const* a, double const* b,
                            double* c) { device.multiply(stream, s, a, b, c); };
  auto const n = room.slot_rows;
  each(expert.elements(), moe::take_parameters{weights.data(), room.parameters});
  each(n * width, moe::gather_slot{at, arrived.data(), width, room.tokens_of_slot});
  multiply({n, width, inner, false, true}, room.tokens_of_slot, room.parameters.w1, room.inner);
  each(n * inner, moe::activate{at, room.parameters.b1, inner, room.inner});
  multiply({n, inner, width, false, true}, room.inner, room.parameters.w2, room.below);
  each(n * width, moe::scatter_slot<on_activation_grid>{at, room.below, room.parameters.b2, width,
                                                        answers.data()});
  each(n * width, moe::gather_slot{at, incoming.data(), width, room.above});
  multiply({n, width, inner}, room.above, room.parameters.w2, room.through);
  each(n * inner, moe::activate_backward{room.inner, room.through});
  multiply({n, inner, width}, room.through, room.parameters.w1, room.below);
  each(n * width,
       moe::scatter_slot<on_gradient_grid>{at, room.below, nullptr, width, below.data()});
  multiply({inner, n, width, true}, room.through, room.tokens_of_slot, room.sums.w1);
  multiply({width, n, inner, true}, room.above, room.inner, room.sums.w2);
  each(width, moe::measure_columns{at, room.tokens_of_slot, width, nullptr, room.x_squares});
  each(width, moe::measure_columns{at, room.above, width, room.sums.b2, room.above_squares});
  each(inner, moe::measure_columns{at, room.inner, inner, nullptr, room.inner_squares});
  each(inner, moe::measure_columns{at, room.through, inner, room.sums.b1, room.through_squares});
  moe::keep_expert_gradient const keep{at,
                                       room.sums,
                                       room.x_squares,
                                       room.inner_squares,
                                       room.through_squares,
                                       room.above_squares,
                                       found.data(),
                                       &misfits};
  device.team(stream, keep, nullptr);
  device.settle();
  EXPECT_EQ(answers, spread(y));
  EXPECT_EQ(below, spread(dx));
  EXPECT_EQ(found, gradient);
  EXPECT_EQ(misfits, 0);
  room.through_squares[inner - 1] = 0x1p20;  // times the tokens' sums of squares: beyond 53 bits
  room.x_squares[0] = 0x1p20;
  device.team(stream, keep, nullptr);
  device.settle();
  EXPECT_EQ(misfits, 1);
}

}  // namespace
}  // namespace example::tests::adaptive_experts_on_streams_test
