#pragma once
#include <algorithm>
#include <concepts>
#include <map>
#include <span>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/cluster.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// What a message takes: its sender's lane and the link are busy for `occupancy` ticks, and it
/// arrives `latency` ticks after that.
struct transfer_time {
  ticks occupancy = 0;
  ticks latency = 0;
  constexpr bool operator==(transfer_time const&) const = default;
};

/// Predicts times, in ticks, never negative.
template <class M>
concept cost_model = requires(M const& m, rank_id r, operation const& op, byte_count bytes) {
  { m.compute(r, op) } -> std::convertible_to<ticks>;
  { m.transfer(r, r, bytes) } -> std::convertible_to<transfer_time>;
};

/// A cost model that also knows what a collective takes from the moment its last member comes:
/// `bytes` is what one member reads. With other models a collective costs nothing but the waiting
/// for each other.
template <class M>
concept collective_cost_model =
    cost_model<M> &&
    requires(M const& m, opcode c, std::span<rank_id const> group, byte_count bytes) {
      { m.collective(c, group, bytes) } -> std::convertible_to<ticks>;
    };

/// The costs of a pipeline job: operations by kind and stage, a message takes `transfer` and keeps
/// nobody busy.
class job_costs {
 public:
  explicit job_costs(pipeline_job const& job) : costs_(job.costs), transfer_(job.transfer) {}

  [[nodiscard]] ticks compute(rank_id, operation const& op) const;
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count) const;

 private:
  stage_costs costs_;
  transfer_times transfer_;
};

static_assert(cost_model<job_costs>);

/// What the direct collectives of `execute/host/collectives.hpp` take in the alpha-beta model:
/// every member sends its messages of a round one after another, and a round ends when the last has
/// arrived.
[[nodiscard]] ticks direct_collective(cluster const& net, opcode code,
                                      std::span<rank_id const> group, byte_count bytes);

/// Links of a cluster in the alpha-beta model around any function of (rank, operation) → ticks.
template <std::invocable<rank_id, operation const&> Compute>
class link_costs {
 public:
  link_costs(cluster const& net, Compute compute) : net_(net), compute_(std::move(compute)) {
    validate(net);
  }

  [[nodiscard]] ticks compute(rank_id r, operation const& op) const { return compute_(r, op); }
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count bytes) const {
    link const& l = net_.between(from, to);
    return {l.occupancy(bytes), l.latency};
  }
  [[nodiscard]] ticks collective(opcode code, std::span<rank_id const> group,
                                 byte_count bytes) const {
    return direct_collective(net_, code, group, bytes);
  }

 private:
  cluster net_;
  Compute compute_;
};

/// Operations that were measured: the median of what each (kind, stage) took, over all ranks and
/// iterations of a timeline, in the timeline's ticks. What was never measured takes nothing.
/// Messages take one link's time.
class measured_costs {
 public:
  explicit measured_costs(timeline const& seen, link const& every_link = {});

  [[nodiscard]] ticks compute(rank_id, operation const& op) const;
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count bytes) const;

 private:
  using key = std::pair<op_kind, stage_id>;
  std::map<key, ticks> median_{};
  link link_;
};

static_assert(cost_model<measured_costs>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/simulate/cost_model.ipp"
#endif
