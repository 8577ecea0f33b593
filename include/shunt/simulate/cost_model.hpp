#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/problem/cluster.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

/// The cost of a message: its sender's lane and the link are busy for `occupancy` ticks, and it
/// arrives `latency` ticks after that.
struct transfer_time {
  ticks occupancy = 0;
  ticks latency = 0;
  bool operator==(transfer_time const&) const = default;
};

/// Predicts times, in ticks, never negative: of an operation on a rank, and of a message of so many
/// bytes between two ranks. Sessions copy it.
template <class M>
concept cost_model = std::copy_constructible<M> &&
                     requires(M const& m, rank_id r, operation const& op, byte_count bytes) {
                       { m.compute(r, op) } -> std::convertible_to<ticks>;
                       { m.transfer(r, r, bytes) } -> std::convertible_to<transfer_time>;
                     };

/// A cost model that also predicts the duration of a collective from the arrival of its last
/// member. `bytes` is the number of bytes that one member reads. With other models a collective
/// takes no time after that arrival.
template <class M>
concept collective_cost_model =
    cost_model<M> &&
    requires(M const& m, opcode c, std::span<rank_id const> group, byte_count bytes) {
      { m.collective(c, group, bytes) } -> std::convertible_to<ticks>;
    };

/// The costs of a pipeline job: of operations by kind, rank, stage and micro-batch. A message
/// arrives after the job's transfer time and occupies no lane and no link.
class job_costs {
 public:
  explicit job_costs(pipeline_job const& job) : job_(job) {}

  [[nodiscard]] ticks compute(rank_id r, operation const& op) const;
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count) const;

 private:
  pipeline_job job_;
};

static_assert(cost_model<job_costs>);

/// Returns the ticks that a direct collective (`execute/host/collectives.hpp`) takes in the
/// alpha-beta model. Every member sends its messages of a round one after another. A round ends
/// when the last message has arrived. `bytes` is the number of bytes that one member reads.
/// Complexity: O(n^2) for n members.
[[nodiscard]] ticks direct_collective(cluster const& net, opcode code,
                                      std::span<rank_id const> group, byte_count bytes);

/// The links of a cluster in the alpha-beta model, and any function of (rank, operation) for the
/// ticks of operations.
template <std::invocable<rank_id, operation const&> Compute>
class link_costs {
 public:
  /// Throws invalid_problem where `validate(net)` does.
  link_costs(cluster const& net, Compute compute) : net_(net), compute_(std::move(compute)) {
    validate(net);
  }

  [[nodiscard]] ticks compute(rank_id r, operation const& op) const { return compute_(r, op); }
  [[nodiscard]] transfer_time transfer(rank_id from, rank_id to, byte_count bytes) const {
    link_cost const& l = net_.between(from, to);
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

/// Measured costs: the median duration of each (kind, stage) over all ranks and iterations of a
/// timeline, in the timeline's ticks. An operation that the timeline lacks takes 0 ticks. All
/// messages go over one kind of link.
class measured_costs {
 public:
  /// Complexity: O(n log n) for n events.
  explicit measured_costs(timeline const& seen, link_cost const& every_link = {});

  [[nodiscard]] ticks compute(rank_id, operation const& op) const;
  [[nodiscard]] transfer_time transfer(rank_id, rank_id, byte_count bytes) const;

 private:
  using key = std::pair<op_kind, stage_id>;
  std::map<key, ticks> median_{};
  link_cost link_;
};

static_assert(cost_model<measured_costs>);

/// A work without computation and memory, for programs of which only the times are wanted. The
/// simulator touches no memory for it. Other executors throw invalid_program where a program has
/// buffers.
struct no_work {
  void operator()(rank_id, task const&) const {}
  [[nodiscard]] std::span<std::byte> buffer(rank_id, buffer_id) const { return {}; }
};

static_assert(work<no_work>);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/simulate/cost_model.ipp"
#endif
