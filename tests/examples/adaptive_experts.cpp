#include "../../examples/adaptive_experts/training.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../../examples/adaptive_experts/comparison.hpp"
#include "../../examples/adaptive_experts/outcome.hpp"
#include "shunt/check/program.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "support/small_experts.hpp"

namespace example::tests::adaptive_experts_test {
namespace {

using namespace small_experts;
using shunt::expert_id;
using shunt::expert_placement;
using shunt::layer_id;
using shunt::rank_id;
using buffers = shunt::moe_buffers;

expert_placement placement_of(training_setup const& s,
                              std::vector<std::int32_t> const& slots_per_rank,
                              auto const& expert_of) {
  expert_placement p{.layers = s.model.layers, .experts = s.model.experts};
  for (auto const slots : slots_per_rank) p.first_slot.push_back(p.first_slot.back() + slots);
  for (std::int32_t l = 0; l < p.layers; ++l)
    for (std::int32_t k = 0; k < p.slots(); ++k) p.expert_of.push_back(expert_of(l, k));
  return p;
}

/// Every expert once, all on rank 0.
policy unreplicated(training_setup const& s) {
  std::vector<std::int32_t> slots(static_cast<std::size_t>(s.ranks), 0);
  slots[0] = s.model.experts;
  auto const p = placement_of(s, slots, [](std::int32_t, std::int32_t k) { return k; });
  return [p](shunt::expert_layers const&) { return shunt::solution<expert_placement>{.plan = p}; };
}

/// What an iteration leaves: the sums over ranks, and every expert's gradient put together from the
/// owners' shards.
struct gradients {
  std::vector<std::int64_t> sums;
  std::vector<std::vector<std::int64_t>> experts;  // layer by layer
  bool operator==(gradients const&) const = default;
};
template <class Executor>
gradients gradients_of(training_setup const& s, moe_training<Executor>& training) {
  gradients all;
  auto const sums = training.work().template values<std::int64_t>(0, buffers::sums);
  all.sums.assign(sums.begin(), sums.end());
  auto const offsets = shunt::shard_offsets(training.shards(), s.ranks);
  for (layer_id l : shunt::ids<layer_id>(s.model.layers))
    for (expert_id e : shunt::ids<expert_id>(s.model.experts)) {
      std::vector<std::int64_t> whole;
      for (std::size_t k = 0; k < training.shards().shards[e].size(); ++k) {
        auto const& shard = training.shards().shards[e][k];
        auto const part =
            training.work().template values<std::int64_t>(shard.owner, buffers::shard_gradients(l));
        auto const at = part.begin() + offsets[e][k];
        whole.insert(whole.end(), at, at + shard.size());
      }
      all.experts.push_back(std::move(whole));
    }
  return all;
}

/// The model once more, in doubles, on one rank, without slots, grids or programs: the mean loss
/// over all tokens. `drops(layer, token)` says where no expert answers.
struct plain_model {
  training_setup s;
  std::vector<double> dense;                 // laid out as dense_parameters
  std::vector<std::vector<double>> experts;  // layer by layer
  dense_parameters<float> at;                // for offsets alone

  double loss(auto const& drops) const {
    auto const& m = s.model;
    text_sampler const from(words(), static_cast<std::size_t>(m.context) + 1, s.seed);
    auto const width = static_cast<std::size_t>(m.expert.width),
               inner = static_cast<std::size_t>(m.expert.hidden);
    auto const inputs = static_cast<std::size_t>(m.context * m.embedding);
    double sum = 0;
    for (std::int64_t token = 0; token < s.all_tokens(); ++token) {
      auto const* const text = from(0, token / s.tokens, token % s.tokens);
      std::vector<double> h(width, 0.0);
      for (std::size_t i = 0; i < width; ++i)
        for (std::size_t j = 0; j < inputs; ++j) {
          auto const byte = text[j / static_cast<std::size_t>(m.embedding)];
          h[i] += project(i * inputs + j) * embed(byte * static_cast<std::size_t>(m.embedding) +
                                                  j % static_cast<std::size_t>(m.embedding));
        }
      auto const normal = [&] {
        double squares = 0;
        for (double const v : h) squares += v * v;
        auto x = h;
        for (double& v : x) v /= std::sqrt(squares / static_cast<double>(width) + 1e-6);
        return x;
      };
      for (std::int32_t l = 0; l < m.layers; ++l) {
        auto const x = normal();
        std::vector<double> scores;
        for (std::size_t e = 0; e < static_cast<std::size_t>(m.experts); ++e) {
          scores.push_back(0);
          for (std::size_t i = 0; i < width; ++i) scores.back() += router(l, e * width + i) * x[i];
        }
        if (drops(l, token)) continue;
        auto const chosen = static_cast<std::size_t>(
            std::max_element(scores.begin(), scores.end()) - scores.begin());
        double all = 0;
        for (double const v : scores) all += std::exp(v - scores[chosen]);
        auto const& w = experts[static_cast<std::size_t>(l * m.experts) + chosen];
        auto const* const w1 = w.data();
        auto const *const b1 = w1 + inner * width, *const w2 = b1 + inner,
                          *const b2 = w2 + inner * width;
        std::vector<double> hidden(b1, b1 + inner);
        for (std::size_t k = 0; k < inner; ++k) {
          for (std::size_t i = 0; i < width; ++i) hidden[k] += w1[k * width + i] * x[i];
          hidden[k] = std::max(hidden[k], 0.0);
        }
        for (std::size_t i = 0; i < width; ++i) {
          double y = b2[i];
          for (std::size_t k = 0; k < inner; ++k) y += w2[i * inner + k] * hidden[k];
          h[i] += y / all;
        }
      }
      auto const x = normal();
      double all = 0, own = 0;
      for (std::size_t b = 0; b < 256; ++b) {
        double logit = value(at.bias, b);
        for (std::size_t i = 0; i < width; ++i) logit += value(at.head, b * width + i) * x[i];
        all += std::exp(logit);
        if (b == text[m.context]) own = logit;
      }
      sum += std::log(all) - own;
    }
    return sum / static_cast<double>(s.all_tokens());
  }

  /// The derivative of the loss with respect to one number, by a central difference.
  double slope(double& number, auto const& drops) {
    double const kept = number, step = 1e-5;
    number = kept + step;
    double const above = loss(drops);
    number = kept - step;
    double const below = loss(drops);
    number = kept;
    return (above - below) / (2 * step);
  }

 private:
  double value(matrix_in<float> const& m, std::size_t i) const {
    return dense[static_cast<std::size_t>(m.data() - at.embed.data()) + i];
  }
  double embed(std::size_t i) const { return value(at.embed, i); }
  double project(std::size_t i) const { return value(at.project, i); }
  double router(std::int32_t l, std::size_t i) const {
    return value(at.router[static_cast<std::size_t>(l)], i);
  }
};

/// Runs one iteration and holds loss and gradients against the plain model's.
void expect_gradients_of_plain_model(training_setup const& s, policy const& place) {
  moe_training<shunt::inline_executor> training(s, place, words(), {});
  auto parameters = training.work().values<float>(0, buffers::dense);
  plain_model plain{.s = s,
                    .dense = {parameters.begin(), parameters.begin() + dense_count(s.model)},
                    .experts = {},
                    .at = {s.model, span_splitter<float>(parameters)}};
  for (std::int32_t l = 0; l < s.model.layers; ++l)
    for (std::int32_t e = 0; e < s.model.experts; ++e) {
      auto const w = initial_expert(s.model, s.seed, l, e);
      plain.experts.emplace_back(w.begin(), w.end());
    }
  auto const record = training();
  EXPECT_EQ(record.misfits, 0);
  auto const all = gradients_of(s, training);
  auto const drops = [&](std::int32_t layer, std::int64_t token) {
    auto const rows = training.work().rows_of(token / s.tokens, layer);
    return rows[static_cast<std::size_t>(token % s.tokens)] < 0;
  };
  EXPECT_NEAR(record.loss, plain.loss(drops), 2e-5);

  // a few numbers of every kind; rounding to the grids moves a mean of gradients by some 1e-5
  std::mt19937_64 random(3);
  auto const some = [&](std::int64_t first, std::int64_t count, auto const& compare) {
    for (int i = 0; i < 8; ++i)
      compare(static_cast<std::size_t>(first) + random() % static_cast<std::uint64_t>(count));
  };
  double largest = 0;
  auto const of_matrix = [&](matrix_in<float> const& m) {
    some(m.data() - plain.at.embed.data(), m.size(), [&](std::size_t i) {
      double const exact = plain.slope(plain.dense[i], drops);
      largest = std::max(largest, std::abs(exact));
      EXPECT_NEAR(static_cast<double>(all.sums[i]) * 0x1p-40 / s.ranks, exact, 1e-4)
          << "dense " << i;
    });
  };
  for (auto const* m : {&plain.at.embed, &plain.at.project, &plain.at.head, &plain.at.bias})
    of_matrix(*m);
  for (auto const& m : plain.at.router) of_matrix(m);
  for (std::size_t e = 0; e < all.experts.size(); ++e)
    some(0, s.model.expert.elements(), [&](std::size_t i) {
      double const exact = plain.slope(plain.experts[e][i], drops);
      largest = std::max(largest, std::abs(exact));
      EXPECT_NEAR(static_cast<double>(all.experts[e][i]) * 0x1p-40 /
                      static_cast<double>(s.all_tokens()),
                  exact, 1e-4)
          << "expert " << e << ", element " << i;
    });
  EXPECT_GT(largest, 0.01);  // the comparison says something
}

TEST(moe_model, gradients_are_finite_differences_of_a_plain_model) {
  expect_gradients_of_plain_model(small(), unreplicated(small()));
  expect_gradients_of_plain_model(small(), shunt::uniform{});
  expect_gradients_of_plain_model(small(), shunt::random_placer(1));
}

TEST(moe_model, dropped_tokens_pass_by_their_expert) {
  auto s = small();
  s.capacity = shunt::capacity_factor{};
  moe_training<shunt::inline_executor> training(s, shunt::uniform{}, words(), {});
  auto const dropped = training().dropped;
  EXPECT_GT(std::accumulate(dropped.begin(), dropped.end(), std::int64_t{0}), 0);
  expect_gradients_of_plain_model(s, shunt::uniform{});
}

TEST(moe_model, gradients_have_the_same_bits_under_any_placement) {
  auto const s = small();
  moe_training<shunt::inline_executor> reference(s, unreplicated(s), words(), {});
  (void)reference();
  auto const wanted = gradients_of(s, reference);
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    moe_training<shunt::inline_executor> training(s, shunt::random_placer(seed), words(), {});
    (void)training();
    EXPECT_EQ(gradients_of(s, training), wanted) << seed;
  }
}

TEST(moe_model, losses_have_the_same_bits_under_any_placements_and_collections) {
  auto s = small();
  s.iterations = 12;
  auto const losses = [&](policy const& place) {
    moe_training<shunt::inline_executor> training(s, place, words(), {});
    std::vector<double> all;
    for (std::int32_t t = 0; t < s.iterations; ++t) all.push_back(training().loss);
    return all;
  };
  auto const wanted = losses(unreplicated(s));
  EXPECT_LT(wanted.back(), wanted.front());
  EXPECT_EQ(losses(shunt::uniform{}), wanted);
  EXPECT_EQ(losses(shunt::swift_moe{}), wanted);
  for (auto const form :
       {shunt::collection_form::direct, shunt::collection_form::reduce_then_gather})
    for (bool const deduplicate : {false, true}) {
      s.collection.form = form;
      s.collection.deduplicate = s.scatter.deduplicate = deduplicate;
      EXPECT_EQ(losses(shunt::random_placer(5)), wanted);
    }
}

TEST(moe_model, executors_agree) {
  auto s = small();
  s.capacity = shunt::capacity_factor{};
  moe_training<shunt::inline_executor> one(s, shunt::swift_moe{}, words(), {});
  moe_training<shunt::thread_executor> other(s, shunt::swift_moe{}, words(), {});
  for (int t = 0; t < 8; ++t) EXPECT_EQ(one(), other()) << t;
}

TEST(moe_model, every_token_is_counted_and_bytes_are_those_of_the_formulas) {
  auto s = small();
  s.capacity = shunt::capacity_factor{};
  moe_training<shunt::inline_executor> training(s, shunt::random_placer(9), words(), {});
  auto const capacity = s.slot_capacity();
  bool shared = false;
  for (int t = 0; t < 10; ++t) {
    auto const placement = training.placement();
    auto const r = training();
    auto const experts = static_cast<std::size_t>(s.model.experts);
    for (layer_id l : shunt::ids<layer_id>(s.model.layers)) {
      auto const loads = std::span(r.loads).subspan(l.index() * experts, experts);
      EXPECT_EQ(std::accumulate(loads.begin(), loads.end(), std::int64_t{0}), s.all_tokens());
      std::int64_t beyond = 0;
      for (expert_id e : shunt::ids<expert_id>(s.model.experts)) {
        auto const slots = placement.layer(l);
        beyond += std::max<std::int64_t>(
            0, loads[e.index()] - capacity * std::count(slots.begin(), slots.end(), e));
      }
      EXPECT_EQ(r.dropped[l.index()], beyond);
    }
    EXPECT_TRUE(r.gradients.holds());
    EXPECT_TRUE(r.weights.holds());
    EXPECT_EQ(r.gradients.formula,
              8 * 2 * 8 * s.model.expert.elements());  // slots, layers, bytes, elements
    EXPECT_EQ(r.weights.formula, 8 * 2 * 4 * s.model.expert.elements());
    shared = shared || r.gradients.deduplicated < r.gradients.plain;
  }
  EXPECT_TRUE(shared);
}

/// What a run leaves that must not depend on where experts are, nor on who is lost.
struct outcome_of_run {
  std::vector<double> losses;
  std::vector<float> parameters;
  bool operator==(outcome_of_run const&) const = default;
};
template <class Executor>
outcome_of_run run(moe_training<Executor>& training, std::int32_t iterations) {
  outcome_of_run all;
  for (std::int32_t t = 0; t < iterations; ++t) all.losses.push_back(training().loss);
  all.parameters = training.parameters();
  return all;
}
outcome_of_run undisturbed(training_setup const& s, std::int32_t iterations) {
  moe_training<shunt::inline_executor> training(s, shunt::uniform{}, words(), {});
  return run(training, iterations);
}

TEST(moe_model, random_placement_at_every_step_leaves_the_parameters_of_a_fixed_one) {
  auto const s = small();
  auto const wanted = undisturbed(s, 10);
  EXPECT_NE(wanted.losses.front(), wanted.losses.back());
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    moe_training<shunt::inline_executor> training(s, shunt::random_placer(seed), words(), {});
    auto const first = training.placement();
    EXPECT_EQ(run(training, 10), wanted);
    EXPECT_NE(training.placement(), first);
  }
}

/// Every shard has as many copies as there should be, and nothing is left on the dead.
template <class Executor>
void expect_complete(training_setup const& s, moe_training<Executor>& training) {
  auto const& dead = training.dead();
  EXPECT_TRUE(shunt::check(training.shape().experts, training.shards()).empty());
  for (auto const& shards : training.shards().shards)
    for (auto const& shard : shards)
      EXPECT_EQ(1 + shard.mirrors.size(),
                std::min<std::size_t>(static_cast<std::size_t>(s.copies),
                                      static_cast<std::size_t>(s.ranks) - dead.size()));
  for (rank_id const r : dead) {
    EXPECT_EQ(shunt::held_elements(training.shards(), r), 0);
    EXPECT_TRUE(training.iteration_program().ranks[r].instructions.empty());
    EXPECT_TRUE(training.scatter_program().ranks[r].instructions.empty());
  }
  EXPECT_TRUE(shunt::check(training.iteration_program()).empty());
  EXPECT_TRUE(shunt::check(training.scatter_program()).empty());
}

training_setup mirrored() {
  auto s = small();
  s.ranks = 5;
  s.copies = 2;
  return s;
}

TEST(moe_losses, leave_the_bits_of_a_run_without_them_wherever_they_strike) {
  auto const s = mirrored();
  auto const wanted = undisturbed(s, 4);
  std::int32_t undone = 0, begun_anew = 0, instruction = 0;
  for (bool fails_again = true; fails_again;
       ++instruction) {  // before every instruction, and after the last one
    shunt::failure_point const one{instruction % s.ranks, 1, instruction};
    moe_training<shunt::inline_executor> training(s, shunt::swift_moe{}, words(),
                                                  {.failures = {one}});
    EXPECT_EQ(run(training, 4), wanted) << "instruction " << instruction;
    fails_again = !training.dead().empty() || instruction < 60;
    if (training.dead().empty()) continue;
    EXPECT_EQ(training.dead(), (std::vector<rank_id>{one.rank}));
    expect_complete(s, training);
    ASSERT_EQ(training.losses().size(), 1U);
    auto const& cost = training.losses().front();
    EXPECT_EQ(cost.ranks, training.dead());
    EXPECT_GT(cost.state_bytes, 0);
    undone += cost.steps_undone;
    begun_anew += cost.iteration == 1;
  }
  EXPECT_GT(undone, 0);
  EXPECT_GT(begun_anew, 30);
  EXPECT_LT(begun_anew, instruction - 1);  // some strike when the iteration is complete
}

TEST(moe_losses, of_several_ranks_are_survived_as_long_as_mirrors_are) {
  auto s = small();
  s.ranks = 7;
  s.copies = 3;
  auto const wanted = undisturbed(s, 8);
  using training_of = moe_training<shunt::inline_executor>;
  auto const scatter = training_of::scatter_before(5), transfer = shunt::transfer_iteration;
  std::vector<std::vector<shunt::failure_point>> const cases{
      {{1, 2, 20}, {4, 5, 30}},                         // one after another
      {{1, 2, 20}, {2, 2, 20}},                         // neighbours in one iteration
      {{0, 2, 20}, {1, 2, 50}, {2, 4, 3}, {3, 6, 12}},  // the first rank and most of the others
      {{3, scatter, 1}},                                // while weights travel
      {{6, 3, 20}, {0, transfer, 2}},                   // while shards travel
      {{6, 3, 20},
       {0, training_of::scatter_before(3), 1}},  // while weights travel to be computed with again
      {{6, training_of::scatter_before(0), 0}},  // before anything was trained
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    training_of training(s, shunt::swift_moe{}, words(), {.failures = cases[i]});
    EXPECT_EQ(run(training, 8), wanted) << "case " << i;
    EXPECT_EQ(training.dead().size(), cases[i].size()) << "case " << i;
    expect_complete(s, training);
  }
  for (auto const form :
       {shunt::collection_form::direct, shunt::collection_form::reduce_then_gather}) {
    s.collection.form = form;
    training_of training(s, shunt::random_placer(11), words(), {.failures = cases[2]});
    EXPECT_EQ(run(training, 8), wanted);
    expect_complete(s, training);
  }
}

TEST(moe_losses, are_survived_on_threads) {
  auto const s = mirrored();
  auto const wanted = undisturbed(s, 6);
  shunt::thread_executor const executor{.failures = {{2, 1, 25}, {0, 4, 31}},
                                        .timeout = std::chrono::milliseconds(20)};
  moe_training<shunt::thread_executor> training(s, shunt::swift_moe{}, words(), executor);
  EXPECT_EQ(run(training, 6), wanted);
  EXPECT_EQ(training.dead(), (std::vector<rank_id>{0, 2}));
  expect_complete(s, training);
}

/// Ranks lose a connection at the end of the `nth` session: nobody is lost, and they don't know
/// that they have completed it.
struct breaking {
  int nth = 1;
  std::vector<shunt::failure_point> failures{};
  std::shared_ptr<int> opened = std::make_shared<int>(0);

  struct session {
    shunt::inline_session<moe_work> inner;
    bool breaks;
    std::shared_ptr<shunt::program const> last{};

    void submit(std::shared_ptr<shunt::program const> p) { inner.submit(last = std::move(p)); }
    [[nodiscard]] bool wait_until(std::int32_t n) { return !breaks && inner.wait_until(n); }
    [[nodiscard]] shunt::ticks completed_at(std::int32_t n) const { return inner.completed_at(n); }
    [[nodiscard]] shunt::outcome wait() {
      auto all = inner.wait();
      if (breaks && all.lost.empty())
        for (rank_id r : shunt::ids<rank_id>(all.done.size()))
          all.done[r] = {0, static_cast<std::int32_t>(last->ranks[r].instructions.size())};
      return all;
    }
    [[nodiscard]] shunt::loss_times times_of_loss() const { return {}; }
  };
  [[nodiscard]] session open(moe_work& w, std::int64_t first = 0) const {
    return {{shunt::inline_executor{.failures = failures}, w, first}, ++*opened == nth};
  }
  shunt::outcome run(shunt::program const& p, moe_work& w) const {
    return shunt::run_once(*this, p, w);
  }
};

TEST(moe_losses, of_connections_alone_cost_no_rank) {
  auto const s = mirrored();
  auto const wanted = undisturbed(s, 4);
  for (int nth = 1; nth <= 9; ++nth) {  // the first scatter, and four iterations with theirs
    moe_training<breaking> training(s, shunt::swift_moe{}, words(), {.nth = nth});
    EXPECT_EQ(run(training, 4), wanted) << nth;
    EXPECT_TRUE(training.dead().empty());
    ASSERT_EQ(training.losses().size(), 1U) << nth;
    EXPECT_TRUE(training.losses().front().ranks.empty());
    EXPECT_EQ(training.losses().front().iteration, (nth - 1) / 2);
    EXPECT_EQ(training.losses().front().steps_undone, nth % 2 == 0 ? s.ranks : 0);
  }
  for (int nth = 5; nth <= 9; ++nth) {  // while a rank is lost: its iteration, shards, weights, the
                                        // iteration again, the next weights
    moe_training<breaking> training(s, shunt::swift_moe{}, words(),
                                    {.nth = nth, .failures = {{1, 1, 20}}});
    EXPECT_EQ(run(training, 4), wanted) << nth;
    EXPECT_EQ(training.dead(), (std::vector<rank_id>{1}));
    expect_complete(s, training);
  }
}

TEST(moe_losses, that_leave_a_shard_without_a_copy_say_what_is_lost) {
  auto const why = [](training_setup const& s,
                      std::vector<shunt::failure_point> failures) -> std::string {
    try {
      moe_training<shunt::inline_executor> training(s, shunt::swift_moe{}, words(),
                                                    {.failures = std::move(failures)});
      (void)run(training, 4);
    } catch (shunt::invalid_problem const& e) {
      return e.what();
    }
    return "nothing";
  };
  auto s = mirrored();  // 97 elements over 5 ranks
  EXPECT_EQ(why(s, {{1, 1, 20}}), "nothing");
  EXPECT_EQ(why(s, {{1, 1, 20}, {2, 2, 20}}), "nothing");  // there was time to copy what rank 1 had
  EXPECT_EQ(why(s, {{1, 1, 20}, {2, 1, 20}}),
            "shards: lost in iteration 1, in each of 2 layers: no live rank holds the optimizer's "
            "state of elements 20 to 39 of expert 0; "
            "elements 19 to 37 of expert 1; elements 20 to 38 of expert 2; elements 19 to 38 of "
            "expert 3; elements 19 to 37 of expert 4 "
            "(dead: 1, 2)");
  s.copies = 1;
  EXPECT_EQ(why(s, {{1, 1, 20}})
                .find("shards: lost in iteration 1, in each of 2 layers: no live rank holds"),
            0U);
  s.copies = 3;
  s.slots_per_rank = 1;
  EXPECT_EQ(why(s, {{1, 1, 20}}).find("slots: "), 0U);  // four slots for five experts
  for (std::int32_t const at :
       {20, 1000}) {  // amid the iteration and, cut to the lengths of their lists, after it
    moe_training<shunt::inline_executor> const lengths(s, shunt::swift_moe{}, words(), {});
    std::vector<shunt::failure_point> all;
    for (rank_id r : shunt::ids<rank_id>(s.ranks))
      all.push_back({r, 0,
                     std::min(at, static_cast<std::int32_t>(
                                      lengths.iteration_program().ranks[r].instructions.size()))});
    EXPECT_EQ(why(s, all), "dead: no rank is left");
  }
  s.copies = 6;
  EXPECT_EQ(why(s, {}), "copies: 6 copies need as many ranks, there are 5");
}

TEST(moe_model, programs_pass_the_check) {
  auto s = small();
  for (auto const form :
       {shunt::collection_form::direct, shunt::collection_form::reduce_then_gather})
    for (bool const deduplicate : {false, true})
      for (auto const& place :
           {policy(shunt::uniform{}), policy(shunt::random_placer(2)), unreplicated(s)}) {
        s.collection.form = form;
        s.collection.deduplicate = s.scatter.deduplicate = deduplicate;
        moe_training<shunt::inline_executor> const training(s, place, words(), {});
        EXPECT_TRUE(shunt::check(training.iteration_program()).empty());
        EXPECT_TRUE(shunt::check(training.scatter_program()).empty());
      }
}

TEST(moe_model, an_operation_reaches_no_buffer_that_it_does_not_declare) {
  auto const s = small();
  moe_training<shunt::inline_executor> training(s, shunt::uniform{}, words(), {});
  (void)training();
  std::vector<shunt::region> const none;
  for (auto const kind :
       {shunt::op_kind::route, shunt::op_kind::dispatch, shunt::op_kind::expert_forward,
        shunt::op_kind::combine, shunt::op_kind::combine_backward, shunt::op_kind::expert_backward,
        shunt::op_kind::dispatch_backward, shunt::op_kind::step})
    EXPECT_THROW(
        training.work()(0, {.op = {.kind = kind}, .iteration = 0, .reads = none, .writes = none}),
        shunt::invalid_program);
  EXPECT_THROW(training.work()(0, {.op = {.kind = shunt::op_kind::backward}}),
               shunt::invalid_program);
}

TEST(expert_mlp, sums_do_not_depend_on_how_a_batch_is_split) {
  expert_mlp const expert{.width = 24, .hidden = 40};
  auto const weights = initial_expert({.expert = expert}, 1, 0, 0);
  initial_numbers draw(5);
  auto const rows = [&](Eigen::Index count, auto const& grid, double scale) {
    stored_matrix m(count, expert.width);
    draw.fill(m, scale);
    return stored_matrix(
        m.unaryExpr([&](float v) { return static_cast<float>(grid(static_cast<double>(v))); }));
  };
  Eigen::Index const count = 61;
  auto const x = rows(count, activation_grid, 3), dy = rows(count, gradient_grid, 0.7);
  auto const run = [&](Eigen::Index first, Eigen::Index size, stored_matrix& y, stored_matrix& dx) {
    std::vector<std::int64_t> gradient(static_cast<std::size_t>(expert.elements()));
    auto const at = first * expert.width;
    expert.forward(weights, {x.data() + at, size, expert.width},
                   {y.data() + at, size, expert.width});
    EXPECT_TRUE(expert.backward(weights, {x.data() + at, size, expert.width},
                                {dy.data() + at, size, expert.width},
                                {dx.data() + at, size, expert.width}, gradient));
    return gradient;
  };
  stored_matrix y(count, expert.width), dx(count, expert.width);
  auto const whole = run(0, count, y, dx);
  for (Eigen::Index const step : {1, 2, 3, 7, 16, 32}) {
    stored_matrix y2(count, expert.width), dx2(count, expert.width);
    std::vector<std::int64_t> sum(whole.size(), 0);
    for (Eigen::Index first = 0; first < count; first += step) {
      auto const part = run(first, std::min(step, count - first), y2, dx2);
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    EXPECT_EQ(y, y2);
    EXPECT_EQ(dx, dx2);
    EXPECT_EQ(sum, whole) << step;
  }
}

TEST(expert_mlp, says_when_a_sum_may_not_be_exact) {
  expert_mlp const expert{.width = 2, .hidden = 2};
  std::vector<float> const weights(static_cast<std::size_t>(expert.elements()), 1.0F);
  std::vector<std::int64_t> gradient(weights.size());
  Eigen::Index const count = 400;
  stored_matrix x = stored_matrix::Constant(count, 2, 30.0F),
                dy = stored_matrix::Constant(count, 2, 2.0F), dx(count, 2);
  EXPECT_FALSE(expert.backward(weights, {x.data(), count, 2}, {dy.data(), count, 2},
                               {dx.data(), count, 2}, gradient));
  EXPECT_TRUE(expert.backward(weights, {x.data(), 100, 2}, {dy.data(), 100, 2}, {dx.data(), 100, 2},
                              gradient));
  EXPECT_EQ(gradient[0], 0x1p40 * 100 * 30 * 2);
}

TEST(moe_shape, broken_sizes_are_named) {
  auto const s = small();
  auto const shape = shape_of(s.model, s.ranks, s.tokens, 4);
  auto const shards = shunt::uniform_shards{}(shape.experts).plan;
  auto const placement =
      placement_of(s, {2, 2, 2, 2}, [](std::int32_t, std::int32_t k) { return k % 5; });
  auto const field = [&](shunt::moe_shape const& broken,
                         expert_placement const& where) -> std::string {
    try {
      (void)shunt::lower(broken, where, shards, shunt::gradient_collection{});
    } catch (shunt::invalid_problem const& e) {
      return e.field();
    }
    return "";
  };
  EXPECT_EQ(field(shape, placement), "");
  auto broken = shape;
  broken.tokens = 0;
  EXPECT_EQ(field(broken, placement), "tokens");
  broken = shape;
  broken.slot_capacity = -1;
  EXPECT_EQ(field(broken, placement), "slot_capacity");
  broken = shape;
  broken.layers = 3;
  EXPECT_EQ(field(broken, placement), "placement.layers");
  broken = shape;
  broken.experts.ranks = 5;
  EXPECT_EQ(field(broken, placement), "placement.ranks");
  broken = shape;
  broken.owners.of = {0, 1, 2};
  EXPECT_EQ(field(broken, placement), "owners");
  broken.owners.of = {0, 1, 2, 4};
  EXPECT_EQ(field(broken, placement), "owners[3]");
  broken.owners.of = {0, 1, 2, 0};  // rank 3 carries nothing and has slots
  EXPECT_EQ(field(broken, placement), "owners");
}

TEST(moe_shape, who_brings_which_tokens_changes_where_they_are_and_not_how_many) {
  auto const s = small();
  auto shape = shape_of(s.model, s.ranks, s.tokens, 4);
  shape.owners = shunt::owners_without({1, 2}, 4);
  EXPECT_EQ(shape.owners.of, (std::vector<rank_id>{0, 0, 3, 3}));
  auto const all_alive = shunt::mirrored_shards{.copies = 3}(shape.experts).plan;
  auto const shards =
      shunt::restore_shards{.map = all_alive}({.state = shape.experts, .dead = {1, 2}}).plan.map;
  auto const placement =
      placement_of(s, {3, 0, 0, 2}, [](std::int32_t, std::int32_t k) { return k % 5; });
  auto const p = shunt::lower(shape, placement, shards, shunt::gradient_collection{});
  EXPECT_TRUE(shunt::check(p).empty());
  EXPECT_TRUE(p.ranks[1].instructions.empty());
  EXPECT_EQ(p.ranks[0].buffers[buffers::hidden].size, 2 * shape.hidden_bytes);
  EXPECT_EQ(p.ranks[0].buffers[buffers::all_counts(0)].size, 2 * 2 * 5 * 8);
  EXPECT_EQ(p.ranks[3].buffers[buffers::shares(1)].size, 4 * 5 * 8);
  EXPECT_TRUE(
      shunt::check(shunt::lower(shape, placement, shards, shunt::weight_scatter{})).empty());
}

TEST(moe_training, of_one_rank_keeps_the_memory_of_no_other) {
  shunt::host_memory memory(3, rank_id(1));
  shunt::program_builder b(3);
  for (rank_id r : shunt::ids<rank_id>(3)) b.buffer(r, 0, 64, true);
  memory.fit(std::move(b).finish());
  EXPECT_TRUE(memory.has(1));
  EXPECT_EQ(memory(1, 0).size(), 64U);
  for (rank_id const r : {rank_id(0), rank_id(2)}) {
    EXPECT_FALSE(memory.has(r));
    EXPECT_TRUE(memory(r, 0).empty());
  }
}

TEST(moe_outcome, differences_are_found_to_the_bit) {
  policy_run a{.name = "a", .records = {{.loss = 1}, {.loss = 2}}, .parameters = {1, 0}};
  auto b = a;
  b.name = "b";
  EXPECT_EQ(difference(a, b), std::nullopt);
  b.parameters[1] = -0.0F;
  EXPECT_EQ(difference(a, b), "differ: parameters 1 of a and b");
  b.records[1].loss = std::nextafter(2.0, 3.0);
  EXPECT_EQ(difference(a, b), "differ: losses of iteration 1 of a and b");
  b.records.pop_back();
  EXPECT_EQ(difference(a, b), "differ: sizes 0 of a and b");
  EXPECT_FALSE(shunt::drops_tokens(a.records));
  a.records[1].dropped = {0, 1};
  EXPECT_TRUE(shunt::drops_tokens(a.records));
}

}  // namespace
}  // namespace example::tests::adaptive_experts_test
