#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "adam.hpp"
#include "model.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/solution.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/faults.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/weight_scatter.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/solve/experts/swift_moe.hpp"
#include "shunt/solve/experts/uniform.hpp"
#include "shunt/solve/shards/uniform_shards.hpp"
#include "text.hpp"
#include "work.hpp"

namespace example {

/// A training run; the defaults are the set-up of SYMI's evaluation but for the size of the model.
struct training_setup {
  moe_model model{.layers = 2};
  std::int32_t ranks = 16;
  std::int32_t slots_per_rank = 4;
  std::int64_t tokens = 256;  ///< of a rank in an iteration
  shunt::capacity_factor capacity{};
  std::int32_t iterations = 200;
  std::uint64_t seed = 1;
  adam optimizer{.rate = 5e-3F};
  shunt::gradient_collection collection{};
  shunt::weight_scatter scatter{};

  [[nodiscard]] std::int32_t slots() const { return ranks * slots_per_rank; }
  [[nodiscard]] std::int64_t all_tokens() const { return ranks * tokens; }
};

/// Throws invalid_problem, naming the field, where a size is out of bounds or there are fewer slots than experts.
inline void validate(training_setup const& s) {
  auto const within = [](char const* field, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least) throw shunt::invalid_problem(field, "must be at least " + std::to_string(least) + ", is " + std::to_string(value));
    if (value > most) throw shunt::invalid_problem(field, "must be at most " + std::to_string(most) + ", is " + std::to_string(value));
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
  if (s.slots() < s.model.experts)
    throw shunt::invalid_problem("slots", std::to_string(s.slots()) + " slots for " + std::to_string(s.model.experts) + " experts");
}

/// A placement policy, such as swift_moe or uniform.
using policy = std::function<shunt::solution<shunt::expert_placement>(shunt::expert_layers const&)>;

/// Bytes that one phase moves in one iteration, all layers and ranks together.
struct phase_bytes {
  shunt::byte_count formula = 0;       ///< s N X: each slot one X, whatever the placement
  shunt::byte_count counted = 0;       ///< what the plain program moves
  shunt::byte_count plain = 0;         ///< what of it crosses between ranks
  shunt::byte_count deduplicated = 0;  ///< what crosses between ranks when replicas that share a rank share messages
  shunt::byte_count moved = 0;         ///< what crosses between ranks in this run, with its own options

  [[nodiscard]] bool holds() const { return counted == formula && deduplicated <= plain && plain <= formula; }
  bool operator==(phase_bytes const&) const = default;
};

struct iteration_record {
  double loss = 0;                      ///< mean over all tokens, in nats
  std::vector<std::int64_t> loads{};    ///< layers x experts: tokens routed to each expert, before any is dropped
  std::vector<std::int64_t> dropped{};  ///< tokens, one entry a layer
  std::int64_t misfits = 0;             ///< values beyond fixed point; 0 in a sound run
  phase_bytes gradients{}, weights{};

  bool operator==(iteration_record const&) const = default;
};

/// One training run, iteration by iteration: the program of an iteration under the placement known, then the scatter to the placement that
/// its counts give. No token, weight or gradient passes between ranks but by these programs.
/// Executor: inline_executor, threads or any other executor_of<Executor, moe_work>.
template <shunt::executor_of<moe_work> Executor>
class moe_training {
 public:
  moe_training(training_setup setup, policy place, text_bytes const& bytes, Executor executor)
      : setup_(std::move(setup)),
        place_(std::move(place)),
        executor_(std::move(executor)),
        shape_(shape_of(setup_.model, setup_.ranks, setup_.tokens,
                        shunt::slot_capacity(setup_.all_tokens(), setup_.slots(), setup_.capacity))),
        shards_(shunt::uniform_shards{}(shape_.experts).plan),
        loads_{.layers = setup_.model.layers,
               .experts = setup_.model.experts,
               .loads = std::vector<std::int64_t>(static_cast<std::size_t>(setup_.model.layers * setup_.model.experts), 0),
               .slots_per_rank = std::vector<std::int32_t>(static_cast<std::size_t>(setup_.ranks), setup_.slots_per_rank)},
        placement_(placed()),
        scatter_(shunt::lower(shape_, placement_, shards_, setup_.scatter)),
        work_({.model = setup_.model, .shape = shape_, .shards = shards_, .optimizer = setup_.optimizer, .seed = setup_.seed}, scatter_,
              sampler(bytes, static_cast<std::size_t>(setup_.model.context) + 1, setup_.seed)) {
    lower_for_placement();
    run(scatter_);  // the initial weights
  }

  /// One iteration of training.
  iteration_record operator()() {
    work_.place(placement_);
    run(iteration_);
    iteration_record record{.loss = work_.loss(), .misfits = work_.misfits(), .gradients = gradients_, .weights = {}};
    count(record);
    auto next = placed();
    if (next != placement_) {
      placement_ = std::move(next);
      scatter_ = shunt::lower(shape_, placement_, shards_, setup_.scatter);
      lower_for_placement();
    }
    record.weights = weights_;
    run(scatter_);
    ++t_;
    return record;
  }

  [[nodiscard]] shunt::expert_placement const& placement() const { return placement_; }
  [[nodiscard]] shunt::program const& iteration_program() const { return iteration_; }
  [[nodiscard]] shunt::program const& scatter_program() const { return scatter_; }
  [[nodiscard]] moe_work& work() { return work_; }
  [[nodiscard]] shunt::moe_shape const& shape() const { return shape_; }
  [[nodiscard]] shunt::shard_map const& shards() const { return shards_; }

 private:
  void run(shunt::program const& p) {
    auto session = executor_.open(work_, t_);
    session.submit(shunt::borrowed(p));
    auto const end = session.wait();
    if (!end.lost.empty()) throw std::runtime_error("rank " + std::to_string(end.lost.front().value()) + " was lost");
  }

  [[nodiscard]] shunt::expert_placement placed() const {
    auto answer = place_(loads_);
    if (!answer.has_plan()) throw shunt::invalid_problem("slots", answer.reason);
    return std::move(answer.plan);
  }

  void lower_for_placement() {
    iteration_ = shunt::lower(shape_, placement_, shards_, setup_.collection);
    auto const bytes = [&](auto const& own, auto plain, std::int32_t size) {
      auto const moved = [&](auto const& how) { return shunt::bytes_moved(shunt::lower(shape_.experts, placement_, shards_, how)); };
      plain.deduplicate = false;
      auto const all = moved(plain);
      plain.deduplicate = true;
      return phase_bytes{.formula = std::int64_t{setup_.slots()} * shape_.experts.elements * size * shape_.layers,
                         .counted = all.logical(),
                         .plain = all.network,
                         .deduplicated = moved(plain).network,
                         .moved = moved(own).network};
    };
    gradients_ = bytes(setup_.collection, shunt::gradient_collection{}, shape_.experts.gradient_bytes);
    weights_ = bytes(setup_.scatter, shunt::weight_scatter{}, shape_.experts.weight_bytes);
  }

  /// Popularity and drops as the program left them on the ranks, all of which must know the same counts.
  void count(iteration_record& record) {
    using buffers = shunt::moe_buffers;
    auto const experts = static_cast<std::size_t>(loads_.experts);
    std::fill(loads_.loads.begin(), loads_.loads.end(), 0);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(loads_.layers)) {
      auto const counts = work_.values<std::int64_t>(0, buffers::all_counts(l));
      for (shunt::rank_id r : shunt::ids<shunt::rank_id>(setup_.ranks))
        if (!std::ranges::equal(counts, work_.values<std::int64_t>(r, buffers::all_counts(l))))
          throw std::logic_error("rank " + std::to_string(r.value()) + " knows other counts than rank 0");
      std::int64_t kept = 0;
      for (auto const tokens : work_.values<std::int64_t>(0, buffers::shares(l))) kept += tokens;
      record.dropped.push_back(setup_.all_tokens() - kept);
      for (std::size_t i = 0; i < counts.size(); ++i) loads_.loads[l.index() * experts + i % experts] += counts[i];
    }
    record.loads = loads_.loads;
  }

  training_setup setup_;
  policy place_;
  Executor executor_;
  shunt::moe_shape shape_;
  shunt::shard_map shards_;
  shunt::expert_layers loads_;
  shunt::expert_placement placement_;
  shunt::program scatter_, iteration_;
  moe_work work_;
  phase_bytes gradients_{}, weights_{};
  std::int64_t t_ = 0;
};

}  // namespace example
