#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "adam.hpp"
#include "model.hpp"
#include "parameters.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/host/stopwatch.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/shard_recovery.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/lost_ranks.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/cut_shards.hpp"
#include "shunt/solve/shards/restore_shards.hpp"
#include "text.hpp"
#include "work.hpp"

namespace example {

/// A training run; the defaults are the set-up of SYMI's evaluation but for the size of the model.
struct training_setup {
  moe_model model{.layers = 2};
  std::int32_t ranks = 16;
  std::int32_t slots_per_rank = 4;
  std::int64_t tokens = 256;  ///< of a rank in an iteration
  std::optional<shunt::capacity_factor> capacity =
      shunt::capacity_factor{};  ///< nothing: slots take whatever comes
  std::int32_t copies = 1;       ///< ranks that keep each shard of the optimizer's state: 1 is
                                 ///< uniform_shards, more are mirrored_shards
  std::int32_t iterations = 200;
  std::uint64_t seed = 1;
  adam optimizer{.rate = 5e-3F};
  shunt::gradient_collection collection{};
  shunt::weight_scatter scatter{};
  std::optional<shunt::rank_id>
      only{};  ///< the rank of this process, where each has one of its own

  [[nodiscard]] std::int32_t slots() const { return ranks * slots_per_rank; }
  [[nodiscard]] std::int64_t all_tokens() const { return ranks * tokens; }
  [[nodiscard]] std::size_t parameters() const {
    return static_cast<std::size_t>(dense_count(model) +
                                    model.layers * model.experts * model.expert.elements());
  }
  [[nodiscard]] std::int64_t slot_capacity() const {
    return capacity ? shunt::slot_capacity(all_tokens(), slots(), *capacity) : shunt::dropless;
  }
};

/// Throws invalid_problem, naming the field, where a size is out of bounds or there are fewer slots
/// than experts.
inline void validate(training_setup const& s) {
  auto const within = [](char const* field, std::int64_t value, std::int64_t least,
                         std::int64_t most) {
    if (value < least)
      throw shunt::invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                              std::to_string(value));
    if (value > most)
      throw shunt::invalid_problem(field, "must be at most " + std::to_string(most) + ", is " +
                                              std::to_string(value));
  };
  within("context", s.model.context, 1, 256);
  within("embedding", s.model.embedding, 1, 256);
  within("width", s.model.expert.width, 1, products_per_sum);
  within("hidden", s.model.expert.hidden, 1, products_per_sum);
  within("layers", s.model.layers, 1, 64);
  within("experts", s.model.experts, 1, 4096);
  within("ranks", s.ranks, 1, 256);
  within("slots", s.slots_per_rank, 1, 4096);
  within("tokens", s.tokens, 1, 65536);
  within("iterations", s.iterations, 1, 1'000'000);
  within("copies", s.copies, 1, s.ranks);
  if (s.slots() < s.model.experts)
    throw shunt::invalid_problem("slots", std::to_string(s.slots()) + " slots for " +
                                              std::to_string(s.model.experts) + " experts");
}

/// A placement policy, such as swift_moe or uniform.
using policy = std::function<shunt::solution<shunt::expert_placement>(shunt::expert_layers const&)>;

/// Another placement each time it is asked: every expert somewhere, the other slots at random, all
/// shuffled.
class random_placement {
 public:
  explicit random_placement(std::uint64_t seed) : random_(seed) {}

  shunt::solution<shunt::expert_placement> operator()(shunt::expert_layers const& p) {
    shunt::solution<shunt::expert_placement> answer =
        shunt::uniform{}(p);  // for its slots, and for what it refuses
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(answer.plan.layers)) {
      auto const slots = answer.plan.layer(l);
      for (std::size_t k = 0; k < slots.size(); ++k)
        slots[k] = k < static_cast<std::size_t>(p.experts) ? k : below(p.experts);
      for (std::size_t k = slots.size(); k > 1; --k) std::swap(slots[k - 1], slots[below(k)]);
    }
    return answer;
  }

 private:
  std::size_t below(std::integral auto bound) {
    return static_cast<std::size_t>(random_() % static_cast<std::uint64_t>(bound));
  }

  std::mt19937_64 random_;
};

/// Bytes that one phase moves in one iteration, all layers and ranks together.
struct phase_bytes {
  shunt::byte_count formula =
      0;  ///< s N X: each slot one X, whatever the placement; gradients go to every copy of a shard
  shunt::byte_count counted = 0;  ///< what the plain program moves
  shunt::byte_count plain = 0;    ///< what of it crosses between ranks
  shunt::byte_count deduplicated =
      0;  ///< what crosses between ranks when replicas that share a rank share messages
  shunt::byte_count moved = 0;  ///< what crosses between ranks in this run, with its own options

  [[nodiscard]] bool holds() const {
    return counted == formula && deduplicated <= plain && plain <= formula;
  }
  bool operator==(phase_bytes const&) const = default;
};

struct iteration_record {
  double loss = 0;  ///< mean over all tokens, in nats
  std::vector<std::int64_t>
      loads{};  ///< layers x experts: tokens routed to each expert, before any is dropped
  std::vector<std::int64_t> dropped{};  ///< tokens, one entry a layer
  std::int64_t misfits = 0;             ///< values beyond fixed point; 0 in a sound run
  phase_bytes gradients{}, weights{};

  bool operator==(iteration_record const&) const = default;
};

/// What a loss of ranks cost. To re-plan is placement, carriers and programs; to restore is also to
/// bring state from mirrors, and weights to where experts are now; to rebuild is to open all
/// sessions that this takes.
struct rank_loss : shunt::loss {
  shunt::byte_count state_bytes =
      0;  ///< of optimizer state, sent from rank to rank so that every shard has its copies again
};

/// One training run, iteration by iteration: the program of an iteration under the placement known,
/// then the scatter to the placement that its counts give. No token, weight or gradient passes
/// between ranks but by these programs.
///
/// A rank may fall silent at any time. The others take back what they have done of the iteration,
/// bring its shards home from their mirrors, place the experts anew among themselves, carry its
/// micro-batches beside their own, and do the iteration again. What it had is never read again.
/// Where nothing is dropped, losses and parameters have the bits of a run that lost nobody.
///
/// Where each rank has a process of its own, each has one of these too, of the same setup but for
/// `only`: they decide alike, from counts that all ranks know and from the executor's outcomes.
///
/// Executor: inline_executor, threads or any other executor_of<Executor, Work>. Its faults see
/// training as iterations from 0, and the scatter before iteration t as iteration
/// `scatter_before(t)`. Work: moe_work, or one that says the same on a device.
template <class Executor, class Work = moe_work>
  requires shunt::executor_of<Executor, Work>
class moe_training {
 public:
  using ranks = std::span<shunt::rank_id const>;
  /// Called with ranks that are lost, and the iteration that is done without them.
  using loss_notice = std::function<void(ranks, std::int64_t)>;

  /// `for_work` is what the work asks for beyond what moe_work does.
  /// Throws invalid_problem where there is no placement, or fewer ranks than copies.
  template <class... ForWork>
  moe_training(training_setup setup, policy place, text_bytes const& bytes, Executor executor,
               loss_notice on_loss = {}, ForWork&&... for_work)
      : setup_(std::move(setup)),
        place_(std::move(place)),
        executor_(std::move(executor)),
        on_loss_(std::move(on_loss)),
        shape_(shape_of(setup_.model, setup_.ranks, setup_.tokens, setup_.slot_capacity())),
        shards_(sharded()),
        loads_{.layers = setup_.model.layers,
               .experts = setup_.model.experts,
               .loads = std::vector<std::int64_t>(
                   static_cast<std::size_t>(setup_.model.layers * setup_.model.experts), 0),
               .slots_per_rank = std::vector<std::int32_t>(static_cast<std::size_t>(setup_.ranks),
                                                           setup_.slots_per_rank)},
        placement_(placed()),
        scatter_(shunt::lower(shape_, placement_, shards_, setup_.scatter)),
        work_({.model = setup_.model,
               .shape = shape_,
               .shards = shards_,
               .optimizer = setup_.optimizer,
               .seed = setup_.seed,
               .only = setup_.only},
              scatter_,
              sampler(bytes, static_cast<std::size_t>(setup_.model.context) + 1, setup_.seed),
              std::forward<ForWork>(for_work)...) {
    lower_for_placement();
    scatter();  // the initial weights
  }

  /// One iteration of training. Throws invalid_problem where ranks are lost that alone held some
  /// optimizer state, or where the slots of the others don't hold all experts.
  iteration_record operator()() {
    auto const dead = transact(t_, [&](ranks gone) {
      if (auto* const cost = go_on_without(gone)) restore(*cost, [&] { scatter(); });
      return iteration_;
    });
    auto const live = survivors(dead);
    iteration_record record{.loss = work_.loss(live.front()),
                            .misfits = work_.misfits(live.front()),
                            .gradients = gradients_,
                            .weights = {}};
    count(record, live);
    ++t_;
    if (!go_on_without(dead)) place_anew();
    record.weights = weights_;
    scatter();
    return record;
  }

  [[nodiscard]] static constexpr std::int64_t scatter_before(std::int64_t iteration) {
    return -2 - iteration;
  }

  [[nodiscard]] shunt::expert_placement const& placement() const { return placement_; }
  [[nodiscard]] shunt::program const& iteration_program() const { return iteration_; }
  [[nodiscard]] shunt::program const& scatter_program() const { return scatter_; }
  [[nodiscard]] Work& work() { return work_; }
  [[nodiscard]] shunt::moe_shape const& shape() const { return shape_; }
  [[nodiscard]] shunt::shard_map const& shards() const { return shards_; }
  [[nodiscard]] std::vector<shunt::rank_id> const& dead() const { return dead_; }
  [[nodiscard]] std::deque<rank_loss> const& losses() const { return losses_; }

  /// Passes on what a live rank knows of all parameters, know(number of the first, values): the
  /// dense ones, then masters of experts, of the shards that it keeps. They are numbered in this
  /// order, layer by layer and expert by expert.
  template <class Know>
  void parameters_of(shunt::rank_id r, Know const& know) {
    using buffers = shunt::moe_buffers;
    auto const known = [&](std::size_t first, shunt::buffer_id b, std::int64_t offset,
                           std::int64_t size) {
      auto const values = work_.template values<float>(r, b);
      know(first, std::span<float const>(values).subspan(static_cast<std::size_t>(offset),
                                                         static_cast<std::size_t>(size)));
    };
    auto const dense = dense_count(setup_.model);
    known(0, buffers::dense, 0, dense);
    auto const places = shunt::held_shards(shards_, setup_.ranks);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(setup_.model.layers))
      for (shunt::expert_id e : shunt::ids<shunt::expert_id>(setup_.model.experts))
        for (auto const& h : places[e]) {
          if (h.holder != r) continue;
          auto const& shard = shards_.shards[e][static_cast<std::size_t>(h.shard)];
          auto const first = dense +
                             (l.value() * setup_.model.experts + e.value()) * shards_.elements +
                             shard.begin;
          known(static_cast<std::size_t>(first), buffers::state(l), h.offset, shard.size());
        }
  }
  /// All parameters, as the live ranks know them. Throws logic_error where one has others.
  [[nodiscard]] std::vector<float> parameters() {
    gathered_parameters all(setup_.parameters());
    for (shunt::rank_id const r : survivors(dead_))
      parameters_of(
          r, [&](std::size_t first, std::span<float const> values) { all.add(r, first, values); });
    return std::move(all).whole();
  }

 private:
  /// Runs the program that `plan` makes for who is gone, and makes again when more are, until all
  /// others have completed it. Returns who is gone then.
  template <class Plan>
  std::vector<shunt::rank_id> transact(std::int64_t iteration, Plan&& plan) {
    auto const report = shunt::run_through_losses(
        executor_, work_, {.first = iteration, .end = iteration + 1, .dead = dead_},
        [&](ranks dead) { return std::optional<shunt::program>(plan(dead)); },
        [](shunt::completed_iteration const&) {});
    for (auto const& session : report.sessions) opening_ += session.opening;
    for (auto const& l : report.losses) {
      auto& cost = cost_of(l.ranks);
      if (iteration >= 0) cost.iteration = l.iteration;
      cost.steps_undone = l.steps_undone;
      cost.instructions_lost = l.instructions_lost;
      cost.noticed = l.noticed;
      cost.detect = l.detect;
      cost.agree = l.agree;
      cost.restore += l.restore;
      cost.rebuild += l.rebuild;
      cost.redo = l.redo;
    }
    return report.dead;
  }

  /// Where connections broke and nobody is lost, each time is a loss of its own.
  rank_loss& cost_of(std::vector<shunt::rank_id> const& lost) {
    for (auto& l : losses_)
      if (!lost.empty() && std::find(l.ranks.begin(), l.ranks.end(), lost.front()) != l.ranks.end())
        return l;
    return losses_.emplace_back(rank_loss{{.iteration = t_, .ranks = lost}});
  }

  /// Does what counts as restoring, but for the opening of sessions.
  template <class Action>
  void restore(rank_loss& cost, Action const& action) {
    shunt::stopwatch const clock;
    auto const before = opening_;
    action();
    cost.rebuild += opening_ - before;
    cost.restore += clock.now() - (opening_ - before);
  }

  /// Brings the weights of shards to the slots of the placement.
  void scatter() {
    auto const gone = [&] {
      return transact(scatter_before(t_), [&](ranks dead) {
        go_on_without(dead);
        return scatter_;
      });
    };
    while (go_on_without(gone())) {}
  }

  /// Plans without ranks that are gone, and moves the optimizer's state as planned. Returns what
  /// that cost; nothing where nobody is gone that wasn't before.
  rank_loss* go_on_without(ranks dead) {
    auto const lost = mark_dead(dead);
    if (lost.empty()) return nullptr;
    auto& cost = cost_of(lost);
    restore(cost, [&] {
      while (!mark_dead(move_shards(cost)).empty()) {
      }  // yet others were lost when theirs had moved
    });
    shunt::stopwatch const clock;
    placement_ = placed();
    lower_for_placement();
    cost.replan = clock.now();
    return &cost;
  }

  /// Those of `dead` that weren't before. From now on they have no slots, carry nothing and
  /// remember nothing.
  std::vector<shunt::rank_id> mark_dead(ranks dead) {
    std::vector<shunt::rank_id> lost;
    for (shunt::rank_id const r : dead) {
      if (std::find(dead_.begin(), dead_.end(), r) != dead_.end()) continue;
      lost.push_back(r);
      dead_.push_back(r);
      loads_.slots_per_rank[r.index()] = 0;
      work_.forget(r);
    }
    if (lost.empty()) return lost;
    std::sort(dead_.begin(), dead_.end());
    shape_.owners = shunt::owners_without(dead_, setup_.ranks);
    work_.set_owners(shape_.owners);
    if (on_loss_) on_loss_(lost, t_);
    return lost;
  }

  /// Gives every shard as many copies as it had, as far as there are ranks. Returns who is gone
  /// afterwards.
  std::vector<shunt::rank_id> move_shards(rank_loss& cost) {
    shunt::shard_recovery to;
    auto const gone = transact(shunt::transfer_iteration, [&](ranks dead) {
      mark_dead(dead);
      auto answer = shunt::restore_shards{.map = shards_}({.state = shape_.experts, .dead = dead_});
      if (!answer.has_plan())
        throw shunt::invalid_problem("shards", "lost in iteration " + std::to_string(t_) +
                                                   ", in each of " + std::to_string(shape_.layers) +
                                                   " layers: " + std::string(answer.reason));
      to = std::move(answer.plan);
      auto p =
          shunt::lower(shape_, shards_, to, shunt::state_recovery{.planes = Work::state_planes});
      work_.fit(p);
      return p;
    });
    for (shunt::shard_copy const& c : to.copies)
      cost.state_bytes += (c.end - c.begin) * shape_.experts.state_bytes * shape_.layers;
    shards_ = std::move(to.map);
    work_.adopt(shards_);
    return gone;
  }

  [[nodiscard]] shunt::shard_map sharded() const {
    auto answer = shunt::mirrored_shards{.copies = setup_.copies}(shape_.experts);
    if (!answer.has_plan()) throw shunt::invalid_problem("copies", answer.reason);
    return std::move(answer.plan);
  }

  [[nodiscard]] shunt::expert_placement placed() const {
    auto answer = place_(loads_);
    if (!answer.has_plan()) throw shunt::invalid_problem("slots", answer.reason);
    return std::move(answer.plan);
  }

  void place_anew() {
    auto next = placed();
    if (next == placement_) return;
    placement_ = std::move(next);
    lower_for_placement();
  }

  void lower_for_placement() {
    scatter_ = shunt::lower(shape_, placement_, shards_, setup_.scatter);
    iteration_ = shunt::lower(shape_, placement_, shards_, setup_.collection);
    work_.fit(iteration_);
    work_.place(placement_);
    auto const bytes = [&](auto const& own, auto plain, std::int64_t size) {
      auto const moved = [&](auto const& how) {
        return shunt::bytes_moved(shunt::lower(shape_.experts, placement_, shards_, how));
      };
      plain.deduplicate = false;
      auto const all = moved(plain);
      plain.deduplicate = true;
      return phase_bytes{.formula =
                             placement_.slots() * shape_.experts.elements * size * shape_.layers,
                         .counted = all.logical(),
                         .plain = all.network,
                         .deduplicated = moved(plain).network,
                         .moved = moved(own).network};
    };
    auto const copies = static_cast<std::int64_t>(shards_.shards[0].front().mirrors.size()) + 1;
    gradients_ = bytes(setup_.collection, shunt::gradient_collection{},
                       copies * shape_.experts.gradient_bytes);
    weights_ = bytes(setup_.scatter, shunt::weight_scatter{}, shape_.experts.weight_bytes);
  }

  /// Those whose memory is here.
  [[nodiscard]] std::vector<shunt::rank_id> survivors(ranks dead) const {
    auto live = shunt::owners_of(shape_).live();
    std::erase_if(live, [&](shunt::rank_id r) {
      return !work_.has(r) || std::find(dead.begin(), dead.end(), r) != dead.end();
    });
    if (live.empty()) throw shunt::invalid_problem("dead", "no rank is left");
    return live;
  }

  /// Popularity and drops as the program left them on the ranks, all of which must know the same
  /// counts.
  void count(iteration_record& record, std::vector<shunt::rank_id> const& live) {
    using buffers = shunt::moe_buffers;
    auto const experts = static_cast<std::size_t>(loads_.experts);
    auto const rank = live.front();
    std::fill(loads_.loads.begin(), loads_.loads.end(), 0);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(loads_.layers)) {
      auto const counts = work_.template values<std::int64_t>(rank, buffers::all_counts(l));
      for (shunt::rank_id const r : live)
        if (!std::ranges::equal(counts,
                                work_.template values<std::int64_t>(r, buffers::all_counts(l))))
          throw std::logic_error("rank " + std::to_string(r.value()) +
                                 " knows other counts than rank " + std::to_string(rank.value()));
      std::int64_t kept = 0;
      for (auto const tokens : work_.template values<std::int64_t>(rank, buffers::shares(l)))
        kept += tokens;
      record.dropped.push_back(setup_.all_tokens() - kept);
      for (std::size_t i = 0; i < counts.size(); ++i)
        loads_.loads[l.index() * experts + i % experts] += counts[i];
    }
    record.loads = loads_.loads;
  }

  training_setup setup_;
  policy place_;
  Executor executor_;
  loss_notice on_loss_;
  shunt::moe_shape shape_;
  shunt::shard_map shards_;
  shunt::expert_layers loads_;
  shunt::expert_placement placement_;
  shunt::program scatter_, iteration_{};
  Work work_;
  phase_bytes gradients_{}, weights_{};
  std::vector<shunt::rank_id> dead_{};
  std::deque<rank_loss> losses_{};  // addresses are stable
  std::int64_t t_ = 0;              // the iteration that comes
  shunt::ticks opening_ = 0;        // of all sessions so far
};

}  // namespace example
