#include "shunt/train/pipeline_work.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "shunt/solve/pipeline/one_f_one_b.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"
#include "shunt/solve/pipeline/zb_v.hpp"
#include "shunt/train/planned_iteration.hpp"
#include "support/dense_model.hpp"
#include "support/dense_training.hpp"
#include "support/host_streams.hpp"
#include "support/refusals.hpp"

namespace shunt::tests::pipeline_work_test {
namespace {

static_assert(restorable_work<dense_work>);
static_assert(restorable_work<pipeline_work<dense_model, sgd>>);

template <class Work>
trained_bits bits_of(Work& w) {
  auto const& t = w.training();
  trained_bits all;
  for (std::int64_t i = 0; i < t.iterations; ++i) all.losses.push_back(w.loss(i));
  std::vector<rank_id> dead;
  for (worker const& of : t.job.dead) dead.push_back(t.job.rank_of(of));
  all.parameters = parameters_of(w, dead);
  return all;
}

template <class Work, class Executor, class Solver>
trained_bits train(Work& work, Executor const& executor, Solver const& solver) {
  auto const& t = work.training();
  auto const plan =
      plan_iteration(solver, t.job, work.tensors(),
                     t.validates() ? iteration_form::validated : iteration_form::plain, t.rollback);
  work.fit(*plan.iteration);
  auto session = executor.open(work);
  for (std::int64_t i = 0; i < t.iterations; ++i) session.submit(plan.iteration);
  if (plan.closing) session.submit(plan.closing);
  EXPECT_TRUE(session.wait().lost.empty());
  return bits_of(work);
}

template <class Executor, class Solver>
trained_bits trained(pipeline_training const& t, Executor const& executor, Solver const& solver) {
  auto work = dense_work_of(t);
  return train(work, executor, solver);
}

/// The same training without plan, program or work: micro-batch by micro-batch, stage by stage.
trained_bits by_hand(pipeline_training const& t) {
  dense_model const m{.count = t.job.stages};
  auto const stages = static_cast<std::size_t>(t.job.stages);
  std::vector<std::vector<float>> parameters, moments;
  for (stage_id const s : ids<stage_id>(t.job.stages)) {
    parameters.emplace_back(static_cast<std::size_t>(m.sizes(s).parameters));
    moments.emplace_back(2 * parameters.back().size());
    m.initialise(s, parameters.back());
  }
  trained_bits all;
  for (std::int64_t i = 0; i < t.iterations; ++i) {
    double sum = 0;
    std::vector<std::vector<std::int64_t>> gradients;
    for (auto const& p : parameters) gradients.emplace_back(p.size());
    for (std::int64_t b = 0; b < t.job.total_microbatches(); ++b) {
      auto const size = static_cast<std::size_t>(m.batch * m.width);
      std::vector<std::vector<float>> out(stages, std::vector<float>(size)), stash = out,
                                                                             back = out;
      auto const span_of = [](std::vector<std::vector<float>>& v, std::size_t s, bool is) {
        return is ? std::span<float>(v[s]) : std::span<float>();
      };
      for (std::size_t s = 0; s < stages; ++s) {
        double const loss = m.forward({static_cast<std::int32_t>(s), i, b, parameters[s],
                                       s > 0 ? span_of(out, s - 1, true) : std::span<float>(),
                                       span_of(out, s, s + 1 < stages), stash[s]});
        if (s + 1 == stages) sum += loss;
      }
      for (std::size_t s = stages; s-- > 0;) {
        auto const input = s > 0 ? span_of(out, s - 1, true) : std::span<float>();
        m.backward_input({static_cast<std::int32_t>(s), i, b, parameters[s], input, stash[s],
                          span_of(back, s, s + 1 < stages),
                          s > 0 ? span_of(back, s - 1, true) : std::span<float>()});
        std::vector<float> g(parameters[s].size());
        m.backward_weight({static_cast<std::int32_t>(s), i, b, parameters[s], input, stash[s],
                           span_of(back, s, s + 1 < stages), g});
        for (std::size_t k = 0; k < g.size(); ++k)
          gradients[s][k] += std::llrint(static_cast<double>(g[k]) * 0x1p40);
      }
    }
    all.losses.push_back(sum / static_cast<double>(t.job.total_microbatches()));
    for (std::size_t s = 0; s < stages; ++s) {
      std::vector<float> mean;
      for (auto const g : gradients[s])
        mean.push_back(static_cast<float>(
            static_cast<double>(g) / (0x1p40 * static_cast<double>(t.job.total_microbatches()))));
      adam{}(parameters[s], moments[s], mean, i + 1);
    }
  }
  all.parameters = parameters;
  return all;
}

TEST(pipeline_work, trains_as_a_plain_loop_does_under_every_plan) {
  auto const t = dense_training(2, 3, 4);
  auto const expected = by_hand(t);
  EXPECT_LT(expected.losses.back(), expected.losses.front());
  EXPECT_EQ(trained(t, inline_executor{}, gpipe{}), expected);
  EXPECT_EQ(trained(t, thread_executor{}, one_f_one_b{}), expected);
  EXPECT_EQ(trained(t, simulated_executor{.cost = job_costs(t.job)}, slipstream{}), expected);
  auto without = t;
  without.job.dead = {{0, 1}, {1, 2}};
  EXPECT_EQ(trained(without, thread_executor{}, slipstream{}), expected);
}

TEST(pipeline_work, trains_where_ranks_hold_several_stages) {
  auto t = dense_training(2, 4, 4);
  auto const expected = by_hand(t);
  t.job.layout = stage_layout::looped(2);
  EXPECT_EQ(trained(t, thread_executor{}, interleaved_one_f_one_b{}), expected);
  t.job.layout = stage_layout::v_shaped();
  EXPECT_EQ(trained(t, thread_executor{}, zb_v{}), expected);
}

TEST(pipeline_work, validated_steps_clip_and_leave_out_alike_under_every_plan) {
  auto t = dense_training(2, 3, 4, 6);
  t.clip = 0.05;
  auto const reference = trained(t, inline_executor{}, gpipe{});
  EXPECT_NE(reference, by_hand(t));
  EXPECT_EQ(trained(t, thread_executor{}, slipstream{}), reference);
  t.clip = 1e6;
  EXPECT_EQ(trained(t, thread_executor{}, slipstream{}), by_hand(t));
}

TEST(pipeline_work, other_elements_train_nearly_alike) {
  auto t = dense_training(2, 3, 4, 40);
  auto const exact = trained(t, inline_executor{}, one_f_one_b{});
  for (auto const type :
       {element::float64, element::float32, element::bfloat16, element::float16}) {
    t.gradient_type = type;
    auto const one = trained(t, inline_executor{}, one_f_one_b{});
    if (size_of(type) == 2) {
      EXPECT_NE(one.parameters, exact.parameters) << to_string(type);
    }
    EXPECT_NEAR(one.losses.back() / exact.losses.back(), 1, 0.01) << to_string(type);
    EXPECT_EQ(trained(t, thread_executor{}, one_f_one_b{}), one)
        << "executors add in the same order";
  }
}

TEST(pipeline_work, bytes_of_gradients_are_those_of_their_elements) {
  auto const reduced = [](element type) {
    auto t = dense_training(3, 3, 4);
    t.gradient_type = type;
    dense_work const work(dense_model{.count = 3}, t);
    auto const plan = plan_iteration(slipstream{}, t.job, work.tensors());
    byte_count gradients = 0, others = 0;
    for (rank_program const& list : plan.iteration->ranks)
      for (auto const& i : list.instructions)
        if (i.code == opcode::all_reduce) {
          auto const size = list.reads(i).front().size;
          // Flags are words, gradients are larger.
          (size > 8 ? gradients : others) += size;
          EXPECT_EQ(i.type, size > 8 ? type : element::int64);
        }
    EXPECT_GT(others, 0);
    return gradients;
  };
  auto const exact = reduced(element::int64);
  EXPECT_EQ(exact, 9 * 30 * 8);
  EXPECT_EQ(2 * reduced(element::float32), exact);
  EXPECT_EQ(4 * reduced(element::bfloat16), exact);
  EXPECT_EQ(4 * reduced(element::float16), exact);
}

TEST(pipeline_work, runs_on_streams_that_call_the_host) {
  auto const t = dense_training(2, 3, 4);
  auto const expected = by_hand(t);
  for (std::uint64_t seed = 1; seed < 4; ++seed) {
    host_streams streams(seed, host_streams::temper::random);
    EXPECT_EQ(trained(t, stream_executor<host_streams>{.system = &streams}, slipstream{}),
              expected);
  }
}

/// A model that ruins a micro-batch's gradient.
struct spoiled_model : dense_model {
  float value = std::numeric_limits<float>::quiet_NaN();
  void backward_weight(backward_weight_pass const& p) const {
    dense_model::backward_weight(p);
    if (p.stage == 1 && p.iteration == 2 && p.microbatch == 3) p.gradient[0] = value;
  }
};

TEST(pipeline_work, a_gradient_that_does_not_fit_leaves_out_the_step_of_its_stage) {
  for (auto const type : {element::int64, element::float32, element::bfloat16, element::float16})
    for (float const value :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30F}) {
      auto t = dense_training(2, 2, 4);
      t.gradient_type = type;
      pipeline_work work(spoiled_model{{}, value}, t);
      (void)train(work, thread_executor{}, slipstream{});
      bool const fits = value == 1e30F && (type == element::float32 || type == element::bfloat16);
      ASSERT_EQ(work.first_overflow().has_value(), !fits) << to_string(type) << " " << value;
      if (fits) continue;
      EXPECT_EQ(work.first_overflow()->iteration, 2);
      EXPECT_EQ(work.overflow_of(t.job.rank_of({0, 1})), 2);
      EXPECT_EQ(work.overflow_of(t.job.rank_of({0, 0})), std::nullopt);
    }
}

struct throwing_model : dense_model {
  double forward(forward_pass const& p) const {
    if (p.stage == 1 && p.iteration == 1 && p.microbatch == 2)
      throw std::runtime_error("no such sample");
    return dense_model::forward(p);
  }
};

TEST(pipeline_work, what_a_model_throws_ends_the_run) {
  pipeline_work work(throwing_model{}, dense_training(2, 2, 2));
  EXPECT_EQ(thrown_by([&] { (void)train(work, thread_executor{}, one_f_one_b{}); }),
            "no such sample");
  pipeline_work again(throwing_model{}, dense_training(2, 2, 2));
  EXPECT_EQ(thrown_by([&] { (void)train(again, inline_executor{}, one_f_one_b{}); }),
            "no such sample");
}

TEST(pipeline_work, programs_of_other_tensors_are_refused) {
  auto const t = dense_training(1, 2, 2);
  dense_work work(dense_model{}, t);
  auto tensors = work.tensors();
  tensors.stash = 64;
  auto const plan = plan_iteration(one_f_one_b{}, t.job, tensors);
  work.fit(*plan.iteration);
  auto session = inline_executor{}.open(work);
  session.submit(plan.iteration);
  EXPECT_EQ(thrown_by([&] { (void)session.wait(); }),
            "forward of stage 0: stash has 64 bytes, the model says 60");
}

TEST(pipeline_work, bad_trainings_are_refused) {
  auto t = dense_training(1, 3, 2);
  EXPECT_EQ(thrown_by([&] { dense_work(dense_model{}, t); }),
            "stages: the job has 3, the model has 2");
  t = dense_training(1, 2, 2);
  t.rollback = rollback::inverse;
  EXPECT_EQ(thrown_by([&] { pipeline_work<dense_model, sgd>(dense_model{}, t); }),
            "rollback: the optimizer can't revert a step");
}

}  // namespace
}  // namespace shunt::tests::pipeline_work_test
