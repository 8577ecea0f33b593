#pragma once
/// List scheduler for a pipeline job: no rank idles while its policy allows an operation.
///
/// Micro-batches have fixed ranks (routes.hpp); their order is free. An idle rank considers input
/// gradients, forwards (as far as the cap and the policy's limit allow) and backward_weights. The
/// stage's policy says which kind goes first. Within a kind the lowest micro-batch goes first, of
/// several stages of a rank the deeper one. A forward leaves room under the cap for the deeper
/// stages of its rank: the last stage always drains, and by induction so does every stage. A run is
/// incomplete only where the stages of a rank do not fit under its cap together (`complete()`).
/// Complexity: O(n (log R + n / (64 R) + operations on the way to a rank)) for n operations on R
/// ranks. Memory is kept from run to run.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/measure/stage_groups.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"
#include "shunt/solve/pipeline/search/winner_tree.hpp"

namespace shunt::detail {

/// The preferences of the ranks of a stage.
struct stage_policy {
  /// The kind that goes first where both are available.
  enum class first : std::uint8_t { input, forward };
  /// Idle instead of starting a forward (`weight`: or a backward_weight) when an input gradient
  /// arrives before that operation would end.
  enum class wait : std::uint8_t { never, forward, weight };
  static constexpr std::int32_t unlimited = std::numeric_limits<std::int32_t>::max();

  first prefer = first::input;
  wait patience = wait::never;
  bool rerouted_first = false;  ///< re-routed micro-batches before own ones of the same number
  std::int32_t in_flight = unlimited;  ///< limit on the forwards without a computed input gradient
  /// from so many stashed micro-batches on, backward_weight before forward
  std::int32_t weight_before = unlimited;
  std::int32_t lag = 0;  ///< among the stages of a rank: added to the number of a micro-batch
  ticks start = 0;       ///< no operation on its ranks starts before

  constexpr bool operator==(stage_policy const&) const = default;
};
using stage_policies = indexed<stage_id, stage_policy>;

/// The scheduler. Keeps a reference to the job.
class list_scheduler {
 public:
  /// `split`: backward_input and backward_weight instead of fused backwards.
  /// Requires a live rank at every stage.
  list_scheduler(pipeline_job const& job, bool split, routing rule = routing::by_load,
                 std::int32_t turn = 0)
      : job_(job),
        split_(split),
        stage_groups_(job),
        clock_(static_cast<std::size_t>(job.ranks())) {
    auto const cells =
        static_cast<std::size_t>(job.workers()) * static_cast<std::size_t>(job.microbatches);
    ranks_.resize(static_cast<std::size_t>(job.ranks()));
    cells_.resize(cells);
    owners_.resize(cells);
    for (auto* list : {&forward_on_the_way_, &gradient_on_the_way_}) list->resize(cells);
    weights_.resize(cells);
    done_.resize(cells * (split ? 3 : 2));
    place_cells(routes(job, rule, turn), rule);
    spans_.resize(stage_groups_.all.size());
  }

  /// Schedules all micro-batches under these policies. The accessors below describe the latest run.
  void run(stage_policies const& policies) {
    left_ = static_cast<std::int64_t>(done_.size());
    std::fill(bits_.begin(), bits_.end(), 0);
    for (auto& s : spans_) s = {std::numeric_limits<ticks>::max(), 0};
    clock_.clear();
    for (auto& d : rank_stages_) prepare(d, policies[d.stage]);
    for (auto& r : ranks_) prepare(r);
    for (std::int32_t next = clock_.winner(); clock_[next] != winner_tree::never;
         next = clock_.winner()) {
      ticks const now = clock_[next];
      rank_state& r = ranks_[static_cast<std::size_t>(next)];
      arrive(r, now);
      while (r.idle_from <= now && start_something(r, now)) continue;
      clock_.set(next, r.idle_from > now ? (r.done == r.all ? winner_tree::never : r.idle_from)
                                         : next_arrival(r));
    }
    for (rank_state const& r : ranks_) {
      if (r.done == r.first_done) continue;
      auto& span = spans_[static_cast<std::size_t>(r.stage_group)];
      span = {std::min(span.start, r.began), std::max(span.end, r.idle_from)};
    }
    for (auto& s : spans_)
      if (s.start > s.end) s = {};
  }

  /// Returns false where the caps were too small for these policies.
  [[nodiscard]] bool complete() const { return left_ == 0; }
  [[nodiscard]] std::int64_t operations() const { return static_cast<std::int64_t>(done_.size()); }
  [[nodiscard]] shunt::stage_groups const& stage_groups() const { return stage_groups_; }
  /// Returns the earliest start and latest end of each stage group over its live ranks; [0, 0) for
  /// a group without operations.
  [[nodiscard]] std::vector<interval> const& spans() const { return spans_; }
  [[nodiscard]] ticks makespan() const {
    ticks last = 0;
    for (auto const& s : spans_) last = std::max(last, s.end);
    return last;
  }
  /// Returns the latest run as a schedule, with the steps.
  [[nodiscard]] pipeline_schedule schedule(bool staggered_step) const {
    pipeline_schedule plan{.order = indexed<rank_id, std::vector<operation>>(ranks_.size()),
                           .staggered_step = staggered_step};
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto const& from = ranks_[r.index()];
      auto const& held = stage_groups_.all[static_cast<std::size_t>(from.stage_group)].stages;
      auto& list = plan.order[r];
      if (from.first_done == from.all) continue;
      list.reserve(static_cast<std::size_t>(from.done - from.first_done) + held.size());
      for (std::int32_t i = from.first_done; i < from.done; ++i) {
        auto const [kind, at_cell] = done_[static_cast<std::size_t>(i)];
        auto const& of = owner_of(at_cell);
        list.push_back({kind, of.pipeline, rank_stage_of(at_cell).stage, of.microbatch});
      }
    }
    append_steps(stage_groups_, plan);
    return plan;
  }

 private:
  static constexpr std::int32_t nowhere = -1;

  /// A micro-batch at a stage. The cells of a desk are sorted by the order in which they go first.
  struct cell {
    // before and after: the cells at the neighbouring stages
    std::int32_t rank_stage = nowhere, before = nowhere, after = nowhere;
  };
  struct owner {
    pipeline_id pipeline{};
    microbatch_id microbatch{};
    std::int32_t rerouted_first = 0;     // its place when re-routed micro-batches go first
    std::int32_t at_rerouted_first = 0;  // the cell that then has the place of this one
  };
  struct arrival {
    ticks when;
    std::int32_t cell;
  };
  /// A stage on a rank.
  struct rank_stage {
    std::int32_t rank = 0;
    stage_id stage{};
    std::int32_t first = 0, cells = 0, first_word = 0, words = 0;
    std::int64_t stash = 0, early = 0;  // added by a forward, given back by a backward_input
    std::int64_t room = 0;              // needed by a forward, with the deeper stages of its rank
    ticks forward = 0, input = 0, weight = 0;
    // of this run
    stage_policy policy{};
    std::int32_t in_flight = 0, stashed = 0, forwards = 0, inputs = 0, forwards_coming = 0,
                 gradients_coming = 0, weights = 0, weighed = 0;
  };
  struct rank_state {
    std::int32_t first_rank_stage = 0, rank_stages = 0, stage_group = 0, first_done = 0, all = 0;
    std::int64_t cap = std::numeric_limits<std::int64_t>::max();
    // of this run
    std::int64_t held = 0;
    std::int32_t done = 0;
    ticks idle_from = 0, began = 0;
  };
  struct choice {
    rank_stage* of = nullptr;
    std::int32_t place = 0;
    std::int64_t turn = 0;
  };

  /// Assigns the cells to ranks and sorts them for both orders of re-routed micro-batches.
  void place_cells(routes const& to, routing rule) {
    auto const index = [&](pipeline_id p, stage_id s, microbatch_id m) {
      return (p.index() * static_cast<std::size_t>(job_.stages) + s.index()) *
                 static_cast<std::size_t>(job_.microbatches) +
             m.index();
    };
    struct rerouted_cell {
      microbatch_id microbatch;
      pipeline_id pipeline;
      std::int32_t turn;  // own pipelines first, then those behind it
    };
    // [rank][place of the stage in the stage group]
    std::vector<std::vector<std::vector<rerouted_cell>>> at(ranks_.size());
    for (rank_id r : ids<rank_id>(job_.ranks()))
      at[r.index()].resize(
          stage_groups_.all[static_cast<std::size_t>(stage_groups_.of[r])].stages.size());
    for (stage_id s : ids<stage_id>(job_.stages))
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches))
        for (pipeline_id p : ids<pipeline_id>(job_.pipelines)) {
          pipeline_id const host = to.host(p, s, m);
          rank_id const r = job_.rank_of({host, s});
          auto const& held =
              stage_groups_.all[static_cast<std::size_t>(stage_groups_.of[r])].stages;
          auto const place = static_cast<std::size_t>(
              std::lower_bound(held.begin(), held.end(), s) - held.begin());
          at[r.index()][place].push_back(
              {m, p,
               rule == routing::pooled
                   ? p.value()
                   : (p.value() - host.value() + job_.pipelines) % job_.pipelines});
        }
    std::vector<std::int32_t> cell_of(cells_.size(), nowhere);
    std::int32_t next_cell = 0, next_done = 0, next_word = 0;
    for (rank_id r : ids<rank_id>(job_.ranks())) {
      auto& rank = ranks_[r.index()];
      rank.stage_group = stage_groups_.of[r];
      rank.first_rank_stage = static_cast<std::int32_t>(rank_stages_.size());
      rank.first_done = next_done;
      if (auto const cap = job_.stash_limit(r)) rank.cap = *cap;
      auto const& held = stage_groups_.all[static_cast<std::size_t>(rank.stage_group)].stages;
      for (std::size_t i = 0; i < held.size(); ++i) {
        auto& list = at[r.index()][i];
        if (list.empty()) continue;
        stage_id const s = held[i];
        auto const& c = job_.costs;
        rank_stage d{.rank = r.value(),
                     .stage = s,
                     .first = next_cell,
                     .cells = static_cast<std::int32_t>(list.size()),
                     .first_word = next_word};
        d.words = (d.cells + 63) / 64;
        d.stash = job_.stash.forward[s];
        d.early = split_ ? job_.stash.backward_input[s] : d.stash;
        d.forward = c.forward[s];
        d.input = split_ ? c.backward_input[s] : c.backward_input[s] + c.backward_weight[s];
        d.weight = c.backward_weight[s];
        // re-routed ones first: the own pipeline takes the last turn
        auto const place_all = [&](std::int32_t last_turn) {
          std::sort(list.begin(), list.end(), [&](rerouted_cell const& a, rerouted_cell const& b) {
            auto const turn = [&](rerouted_cell const& g) {
              return (g.turn + last_turn) % job_.pipelines;
            };
            return std::pair(a.microbatch, turn(a)) < std::pair(b.microbatch, turn(b));
          });
        };
        place_all(0);
        for (rerouted_cell const& g : list) {
          cells_[static_cast<std::size_t>(next_cell)].rank_stage =
              static_cast<std::int32_t>(rank_stages_.size());
          owners_[static_cast<std::size_t>(next_cell)] = {.pipeline = g.pipeline,
                                                          .microbatch = g.microbatch};
          cell_of[index(g.pipeline, s, g.microbatch)] = next_cell++;
        }
        place_all(job_.pipelines - 1);
        for (std::int32_t place = 0; place < d.cells; ++place) {
          rerouted_cell const& g = list[static_cast<std::size_t>(place)];
          std::int32_t const own = cell_of[index(g.pipeline, s, g.microbatch)];
          owners_[static_cast<std::size_t>(own)].rerouted_first = place;
          owners_[static_cast<std::size_t>(d.first + place)].at_rerouted_first = own;
        }
        next_done += d.cells * (split_ ? 3 : 2);
        next_word += 2 * d.words;
        rank_stages_.push_back(d);
      }
      rank.rank_stages = static_cast<std::int32_t>(rank_stages_.size()) - rank.first_rank_stage;
      rank.all = next_done;
      std::int64_t room = 0;
      for (std::int32_t i = rank.rank_stages; i-- > 0;) {
        auto& d = rank_stages_[static_cast<std::size_t>(rank.first_rank_stage + i)];
        d.room = room += d.stash;
      }
    }
    bits_.resize(static_cast<std::size_t>(next_word));
    for (pipeline_id p : ids<pipeline_id>(job_.pipelines))
      for (microbatch_id m : ids<microbatch_id>(job_.microbatches))
        for (std::int32_t s = 1; s < job_.stages; ++s) {
          auto const a = cell_of[index(p, s - 1, m)], b = cell_of[index(p, s, m)];
          cells_[static_cast<std::size_t>(a)].after = b;
          cells_[static_cast<std::size_t>(b)].before = a;
        }
  }

  void prepare(rank_stage& d, stage_policy const& policy) {
    d.policy = policy;
    d.in_flight = d.stashed = d.forwards = d.inputs = d.forwards_coming = d.gradients_coming =
        d.weights = d.weighed = 0;
    if (d.stage > 0) return;
    for (std::int32_t c = d.first; c < d.first + d.cells; ++c) put(d, d.first_word, c);
    d.forwards = d.cells;
  }
  void prepare(rank_state& r) {
    r.held = 0;
    r.done = r.first_done;
    r.idle_from = 0;
    for (std::int32_t i = 0; i < r.rank_stages; ++i)
      r.idle_from = std::max(
          r.idle_from, rank_stages_[static_cast<std::size_t>(r.first_rank_stage + i)].policy.start);
    if (r.rank_stages > 0) clock_.set(static_cast<std::int32_t>(&r - ranks_.data()), r.idle_from);
  }

  [[nodiscard]] rank_stage* rank_stages_of(rank_state const& r) {
    return rank_stages_.data() + r.first_rank_stage;
  }
  [[nodiscard]] cell const& at(std::int32_t c) const { return cells_[static_cast<std::size_t>(c)]; }
  [[nodiscard]] owner const& owner_of(std::int32_t c) const {
    return owners_[static_cast<std::size_t>(c)];
  }
  [[nodiscard]] rank_stage const& rank_stage_of(std::int32_t c) const {
    return rank_stages_[static_cast<std::size_t>(at(c).rank_stage)];
  }

  /// Sets of cells are bits, lowest place first.
  void put(rank_stage const& d, std::int32_t word, std::int32_t c) {
    auto const place = static_cast<std::uint32_t>(
        d.policy.rerouted_first ? owner_of(c).rerouted_first : c - d.first);
    bits_[static_cast<std::size_t>(word) + place / 64] |= std::uint64_t{1} << place % 64;
  }
  [[nodiscard]] std::int32_t lowest(std::int32_t word) const {
    auto w = static_cast<std::size_t>(word);
    while (bits_[w] == 0) ++w;
    return static_cast<std::int32_t>(w - static_cast<std::size_t>(word)) * 64 +
           std::countr_zero(bits_[w]);
  }
  void drop(std::int32_t word, std::int32_t place) {
    auto& bits = bits_[static_cast<std::size_t>(word) + static_cast<std::size_t>(place) / 64];
    bits &= bits - 1;
  }
  [[nodiscard]] std::int32_t cell_at(rank_stage const& d, std::int32_t place) const {
    return d.policy.rerouted_first ? owner_of(d.first + place).at_rerouted_first : d.first + place;
  }

  /// Makes the micro-batches available that have arrived by `now`.
  void arrive(rank_state const& r, ticks now) {
    auto const take = [&](rank_stage& d, std::vector<arrival>& all, std::int32_t& coming,
                          std::int32_t word, std::int32_t& there) {
      arrival* const list = all.data() + d.first;
      for (std::int32_t i = 0; i < coming;) {
        if (list[i].when > now) {
          ++i;
          continue;
        }
        put(d, word, list[i].cell);
        ++there;
        list[i] = list[--coming];
      }
    };
    for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d) {
      take(*d, forward_on_the_way_, d->forwards_coming, d->first_word, d->forwards);
      take(*d, gradient_on_the_way_, d->gradients_coming, d->first_word + d->words, d->inputs);
    }
  }
  [[nodiscard]] static ticks earliest(std::vector<arrival> const& all, rank_stage const& d,
                                      std::int32_t coming) {
    ticks least = winner_tree::never;
    for (std::int32_t i = 0; i < coming; ++i)
      least = std::min(least, all[static_cast<std::size_t>(d.first + i)].when);
    return least;
  }
  [[nodiscard]] ticks next_arrival(rank_state const& r) {
    ticks least = winner_tree::never;
    for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d)
      least = std::min({least, earliest(forward_on_the_way_, *d, d->forwards_coming),
                        earliest(gradient_on_the_way_, *d, d->gradients_coming)});
    return least;
  }
  /// Returns whether an input gradient arrives before an operation of this length, started now,
  /// would end.
  [[nodiscard]] bool gradient_within(rank_state const& r, ticks now, ticks length) {
    for (rank_stage* d = rank_stages_of(r); d != rank_stages_of(r) + r.rank_stages; ++d)
      if (earliest(gradient_on_the_way_, *d, d->gradients_coming) < now + length) return true;
    return false;
  }

  /// Starts the operation that the policies choose. Returns false where none is started.
  bool start_something(rank_state& r, ticks now) {
    choice input, forward;
    rank_stage* weight = nullptr;
    auto const consider = [&](choice& best, rank_stage& d, std::int32_t word) {
      std::int32_t const place = lowest(word);
      if (r.rank_stages == 1) {
        best = {&d, place, 0};
        return;
      }
      std::int64_t const turn =
          std::int64_t{owner_of(cell_at(d, place)).microbatch.value()} + d.policy.lag;
      if (best.of == nullptr || turn < best.turn) best = {&d, place, turn};
    };
    for (rank_stage* d = rank_stages_of(r) + r.rank_stages; d-- != rank_stages_of(r);) {
      if (d->inputs > 0) consider(input, *d, d->first_word + d->words);
      if (d->forwards > 0 && d->room <= r.cap - r.held && d->in_flight < d->policy.in_flight)
        consider(forward, *d, d->first_word);
      if (weight == nullptr && d->weighed < d->weights) weight = d;
    }
    if (input.of != nullptr &&
        (forward.of == nullptr || input.of->policy.prefer == stage_policy::first::input))
      return start_input(r, input, now);
    if (forward.of != nullptr &&
        (weight == nullptr || forward.of->stashed < forward.of->policy.weight_before)) {
      if (forward.of->policy.patience != stage_policy::wait::never &&
          gradient_within(r, now, forward.of->forward))
        return false;
      return start_forward(r, forward, now);
    }
    if (weight == nullptr) return false;
    if (weight->policy.patience == stage_policy::wait::weight &&
        gradient_within(r, now, weight->weight))
      return false;
    begin(r, op_kind::backward_weight,
          weights_[static_cast<std::size_t>(weight->first + weight->weighed++)], now,
          now + weight->weight);
    r.held -= weight->stash - weight->early;
    --weight->stashed;
    return true;
  }

  void begin(rank_state& r, op_kind kind, std::int32_t c, ticks now, ticks end) {
    if (r.done == r.first_done) r.began = now;
    done_[static_cast<std::size_t>(r.done++)] = {kind, c};
    --left_;
    r.idle_from = end;
  }

  /// Passes a result on, and wakes the receiving rank where it idles until then.
  void send(std::vector<arrival>& all, std::int32_t& coming, rank_stage const& d, arrival what) {
    all[static_cast<std::size_t>(d.first + coming++)] = what;
    if (what.when < clock_[d.rank] &&
        ranks_[static_cast<std::size_t>(d.rank)].idle_from <= what.when)
      clock_.set(d.rank, what.when);
  }

  bool start_forward(rank_state& r, choice const& what, ticks now) {
    rank_stage& d = *what.of;
    drop(d.first_word, what.place);
    --d.forwards;
    std::int32_t const c = cell_at(d, what.place);
    ticks const end = now + d.forward;
    begin(r, op_kind::forward, c, now, end);
    r.held += d.stash;
    ++d.stashed;
    ++d.in_flight;
    if (at(c).after != nowhere) {
      rank_stage& next = rank_stages_[static_cast<std::size_t>(at(at(c).after).rank_stage)];
      send(forward_on_the_way_, next.forwards_coming, next,
           {end + job_.transfer(d.rank, next.rank), at(c).after});
    } else {
      put(d, d.first_word + d.words, c);  // its own loss: available when the forward ends
      ++d.inputs;
    }
    return true;
  }

  bool start_input(rank_state& r, choice const& what, ticks now) {
    rank_stage& d = *what.of;
    drop(d.first_word + d.words, what.place);
    --d.inputs;
    std::int32_t const c = cell_at(d, what.place);
    ticks const end = now + d.input;
    begin(r, split_ ? op_kind::backward_input : op_kind::backward, c, now, end);
    --d.in_flight;
    r.held -= d.early;
    if (split_)
      weights_[static_cast<std::size_t>(d.first + d.weights++)] = c;
    else
      --d.stashed;
    if (at(c).before != nowhere) {
      rank_stage& next = rank_stages_[static_cast<std::size_t>(at(at(c).before).rank_stage)];
      send(gradient_on_the_way_, next.gradients_coming, next,
           {end + job_.transfer(d.rank, next.rank), at(c).before});
    }
    return true;
  }

  struct started {
    op_kind kind = op_kind::forward;
    std::int32_t cell = 0;
  };

  pipeline_job const& job_;
  bool split_;
  shunt::stage_groups stage_groups_;
  winner_tree clock_;
  std::vector<rank_state> ranks_{};
  std::vector<rank_stage> rank_stages_{};
  std::vector<cell> cells_{};
  std::vector<owner> owners_{};  // by cell
  // by desk: the available forwards, then the available input gradients
  std::vector<std::uint64_t> bits_{};
  // by desk: the micro-batches on their way
  std::vector<arrival> forward_on_the_way_{}, gradient_on_the_way_{};
  std::vector<std::int32_t> weights_{};  // by desk: the cells with a backward_weight, in order
  std::vector<started> done_{};          // by rank: its operations in order
  std::vector<interval> spans_{};        // by stage group
  std::int64_t left_ = 0;
};

}  // namespace shunt::detail
