#include <gtest/gtest.h>

#include <memory>

#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "support/host_streams.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::streams_graph_cache_test {
namespace {

using namespace detail;

TEST(graph_cache, are_made_once_and_updated_where_their_shape_stays) {
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

TEST(graph_cache, outlive_their_session_and_are_updated_by_the_next) {
  auto const program_with = [](op_kind kind, bool fills) {
    program_builder b(1);
    b.buffer(0, 8, true);
    b.compute(0, {.kind = kind}, {{0, 0, 8}}, {{0, 0, 8}});
    if (fills) b.fill(0, {0, 0, 8});
    return std::move(b).finish();
  };
  auto const step = program_with(op_kind::forward, false),
             scatter = program_with(op_kind::step, true);
  mixing_work w(step), expected(step);
  host_streams system(5);
  graph_executor<host_streams> const executor{.system = &system};
  graph_counts all;
  for (std::int64_t iteration = 0; iteration < 4; ++iteration)
    for (auto const* p : {&step, &scatter}) {  // a session each, as where programs change
      auto const copy = executor;
      auto session = copy.open(w, iteration);
      session.submit(*p);
      (void)session.wait();
      (void)inline_executor{}.open(expected, iteration).submit(*p);
      all = executor.kept->counts();
      EXPECT_EQ(session.graphs(), (iteration == 0 ? graph_counts{.made = 1, .launched = 1}
                                                  : graph_counts{.updated = 1, .launched = 1}));
    }
  EXPECT_EQ(all, (graph_counts{.made = 2, .updated = 6, .launched = 8}));
  EXPECT_TRUE(w == expected);

  auto session = graph_executor<host_streams>{&system, {}, false, 1, executor.kept}.open(w, 4);
  session.submit(scatter);  // one graph was dropped, and what is left has another shape
  (void)session.wait();
  EXPECT_EQ(session.graphs(), (graph_counts{.remade = 1, .launched = 1}));
}

}  // namespace
}  // namespace shunt::tests::streams_graph_cache_test
