#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/check/pipeline_times.hpp"
#include "shunt/check/program_transport.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/indexed_lists.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "support/small_schedules.hpp"

namespace shunt::tests::pipeline_actions_test {
namespace {

using namespace small_schedules;

// Actions whose lists can change their lengths.
struct editable_actions {
  indexed<rank_id, std::vector<pipeline_action>> lists;
};

// Messages. The V above with its messages in place, changed.
std::vector<rule> v_messages(std::function<void(editable_actions&)> const& edit,
                             message_lanes lanes = message_lanes::one_per_edge) {
  auto actions = place_messages(v_job(), v_plan(), lanes);
  editable_actions edited;
  for (rank_id r : ids<rank_id>(actions.lists.size()))
    edited.lists.push_back({actions.lists[r].begin(), actions.lists[r].end()});
  edit(edited);
  actions.lists = indexed_lists(edited.lists);
  return rules(check(v_job(), v_plan(), actions));
}

std::size_t find(auto const& a, rank_id r, action_kind kind, operation const& o) {
  auto const& list = a.lists[r];
  return static_cast<std::size_t>(
      std::find_if(list.begin(), list.end(),
                   [&](auto const& x) { return x.kind == kind && x.op == o; }) -
      list.begin());
}

constexpr auto sends = action_kind::send, receives = action_kind::receive;

TEST(pipeline_actions, messages_in_place_break_no_rule) {
  for (auto const lanes :
       {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge})
    EXPECT_TRUE(v_messages([](auto&) {}, lanes).empty());
}

TEST(pipeline_actions, no_message_at_all) {
  auto const found = v_messages([](auto& a) {
    for (auto& list : a.lists)
      std::erase_if(list, [](auto const& x) { return x.kind != action_kind::compute; });
  });
  EXPECT_EQ(
      found,
      std::vector(
          8, rule::not_received));  // F1 F3 I2 I0 of two micro-batches; 2 is handed over on rank 1
}

TEST(pipeline_actions, messages_without_a_counterpart) {
  EXPECT_EQ(v_messages([](auto& a) {
              std::erase_if(a.lists[0], [](auto const& x) { return x.kind == sends; });
            }),
            std::vector(4, rule::unmatched));
  auto const drop = [](action_kind kind, operation const& o, rank_id r) {
    return v_messages([&](auto& a) {
      a.lists[r].erase(a.lists[r].begin() + static_cast<std::ptrdiff_t>(find(a, r, kind, o)));
    });
  };
  auto const unsent = drop(sends, {F, 0, 0, 1}, 0);
  EXPECT_EQ(std::count(unsent.begin(), unsent.end(), rule::unmatched), 1);
  auto const unreceived = drop(receives, {F, 0, 0, 1}, 1);
  EXPECT_EQ(std::count(unreceived.begin(), unreceived.end(), rule::unmatched), 1);
  EXPECT_EQ(std::count(unreceived.begin(), unreceived.end(), rule::not_received), 1);
}

TEST(pipeline_actions, messages_twice) {
  auto const again = [](action_kind kind, rank_id r) {
    return v_messages([&](auto& a) {
      auto const at = static_cast<std::ptrdiff_t>(find(a, r, kind, {F, 0, 0, 0}));
      auto const copy = *(a.lists[r].begin() + at);
      a.lists[r].insert(a.lists[r].begin() + at, copy);
    });
  };
  for (auto const& found : {again(sends, 0), again(receives, 1)})
    EXPECT_EQ(std::count(found.begin(), found.end(), rule::repeated), 1);
}

TEST(pipeline_actions, messages_before_they_are_made_or_after_they_are_needed) {
  EXPECT_EQ(v_messages([](auto& a) { std::swap(a.lists[0][0], a.lists[0][1]); }),
            std::vector{rule::sent_early});
  EXPECT_EQ(v_messages([](auto& a) { std::swap(a.lists[1][0], a.lists[1][1]); }),
            std::vector{rule::not_received});
}

TEST(pipeline_actions, messages_that_the_job_does_not_know) {
  auto const with = [](auto const& edit) {
    return v_messages([&](auto& a) { edit(a.lists[0][1]); })[0];
  };
  EXPECT_EQ(with([](auto& x) { x.op.microbatch = 2; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.op.stage = 3; }),
            rule::bad_message);  // nobody needs what the last stage makes
  EXPECT_EQ(with([](auto& x) { x.op.kind = W; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.peer = 0; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.peer = 2; }), rule::bad_message);
  EXPECT_EQ(with([](auto& x) { x.lane = 0; }), rule::bad_message);
}

TEST(pipeline_actions, messages_that_overtake_each_other) {
  // receives put off, as a transport that ignores tags can't bear: gradients of a V and activations
  // go from rank 1 to rank 0
  auto const found = v_messages([](auto& a) {
    auto& list = a.lists[1];
    auto const first_one = find(a, 1, receives, {I, 0, 3, 0}),
               other = find(a, 1, receives, {I, 0, 3, 1});
    std::swap(list[first_one], list[other]);
  });
  EXPECT_EQ(found, (std::vector{rule::not_received, rule::overtaken, rule::overtaken}));
  // the sender's order alone
  EXPECT_EQ(v_messages([](auto& a) {
              auto& list = a.lists[0];
              auto const from = find(a, 0, sends, {F, 0, 0, 0}),
                         to = find(a, 0, sends, {F, 0, 0, 1});
              std::rotate(list.begin() + static_cast<std::ptrdiff_t>(from),
                          list.begin() + static_cast<std::ptrdiff_t>(from) + 1,
                          list.begin() + static_cast<std::ptrdiff_t>(to) + 1);
            }),
            (std::vector{rule::overtaken, rule::overtaken}));
}

TEST(pipeline_actions, computing_that_is_not_the_schedules) {
  EXPECT_EQ(v_messages([](auto& a) { a.lists[1].pop_back(); }), std::vector{rule::altered});
  EXPECT_EQ(v_messages([](auto& a) { a.lists[1].back().op.kind = W; }), std::vector{rule::altered});
  EXPECT_EQ(v_messages([](auto& a) { a.lists.resize(1); }), std::vector{rule::lists});
}

// Two ranks that send to each other at once: on one lane, each with its send first, nobody ever
// receives.
TEST(pipeline_actions, messages_that_wait_for_each_other_on_shared_lanes) {
  pipeline_job const job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .layout = stage_layout::bidirectional()};
  auto const step = [](stage_id s) { return operation{.kind = op_kind::step, .stage = s}; };
  pipeline_schedule plan;
  plan.order = {{{F, 0, 0, 0}, {F, 1, 1, 0}, {B, 1, 1, 0}, {B, 0, 0, 0}, step(0), step(1)},
                {{F, 1, 0, 0}, {F, 0, 1, 0}, {B, 0, 1, 0}, {B, 1, 0, 0}, step(0), step(1)}};
  for (auto const lanes :
       {message_lanes::one_per_rank, message_lanes::one_per_peer, message_lanes::one_per_edge}) {
    auto actions = place_messages(job, plan, lanes);
    EXPECT_TRUE(check(job, plan, actions).empty());
    EXPECT_TRUE(check_rendezvous(lower(job, plan, {}, lanes)).empty());
    for (rank_id r :
         {0,
          1}) {  // what comes naturally: a send right after its operation, a receive right before
      auto const list = actions.lists[r];
      auto const send = find(actions, r, sends, {F, r.value(), 0, 0}),
                 receive = find(actions, r, receives, {F, 1 - r.value(), 0, 0});
      if (receive < send) std::swap(list[send], list[receive]);
    }
    auto const found = check(job, plan, actions);
    EXPECT_EQ(rules(found), lanes == message_lanes::one_per_edge ? std::vector<rule>{}
                                                                 : std::vector{rule::deadlock})
        << to_string(lanes);
  }
}

}  // namespace
}  // namespace shunt::tests::pipeline_actions_test
