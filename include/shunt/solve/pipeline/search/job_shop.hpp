#pragma once
/// Decides whether a pipeline job has a schedule in which every rank keeps its release and
/// deadline.
///
/// Depth-first search over active schedules. It branches on the operation that would end first: one
/// of the operations of its rank that could start before that end comes next, latest start first.
/// It prunes where a rank's work does not fit between heads and deadlines (Jackson's preemptive
/// schedule), or where the same operations were done no later in a branch that failed (dominance).
/// Caps and symmetry: docs/pipeline-solvers.md.
/// Complexity: exponential; the open state of a node is linear in the operations.
/// Reference: Giffler, Thompson 1960; Carlier 1982; Gromicho, van Hoorn, Saldanha-da-Gama, Timmer
/// 2012.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/solve/pipeline/search/routes.hpp"

namespace shunt::detail {

/// The job as chains of operation types. Micro-batches of one length on the same ranks form a
/// group; the k-th operation of a type belongs to the k-th micro-batch of its group.
struct exact_shop {
  static constexpr std::int32_t none = -1;
  struct type {
    op_kind kind = op_kind::forward;
    stage_id stage{};
    std::int32_t rank = 0, group = 0;
    std::int32_t before = none;  ///< the type that produces its input
    ticks delay = 0, duration = 0;
    std::int64_t stash = 0;  ///< added to the rank's stash
    std::int32_t first = 0;  ///< number of its first operation
    /// types of its rank that make room for it under the cap, where the rank has one forward type
    std::int32_t after_input = none,
                 after_weight = none;  ///< types of its rank that make room for it under the cap,
                                       ///< where only one forward is there
  };
  struct group {
    std::vector<rank_id> hosts{};  ///< by stage
    std::vector<std::pair<pipeline_id, microbatch_id>> members{};
  };
  std::vector<type> types{};  ///< group by group, each after the type that produces its input
  std::vector<group> groups{};
  std::vector<std::vector<std::int32_t>> of_rank{};
  std::vector<std::int64_t> cap{};
  std::vector<bool> crowded{};  ///< by rank: several forward types meet under a cap
  std::vector<std::int32_t> stage_group_of{};
  std::int32_t operations = 0;

  /// Requires a valid job with a live worker at every stage.
  exact_shop(pipeline_job const& job, bool split, routing rule);

  /// Returns the number of operations of a type.
  [[nodiscard]] std::int32_t count(type const& t) const;
  /// Returns the k-th operation of a type.
  [[nodiscard]] operation operation_of(type const& t, std::int32_t k) const;

  static constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max() / 2;

 private:
  /// Adds the types of group `g`.
  void add_types(pipeline_job const& job, std::int32_t g, bool split);

  /// Notes the types that make room under the cap of rank `r`.
  void limit(std::size_t r);
};

/// The search. New windows clear its memory of failed states.
class exact_search {
 public:
  enum class search_result : std::uint8_t { found, impossible, limit };

  exact_search(exact_shop const& shop, std::int64_t& nodes_left, std::stop_token const& stop);

  /// Computes heads and latest ends from the releases and deadlines of the ranks; `never` and
  /// `whenever` stand for none.
  void set_windows(std::vector<ticks> const& release, std::vector<ticks> const& deadline);
  [[nodiscard]] ticks head(std::size_t o) const { return head_[o]; }
  [[nodiscard]] ticks latest_end(std::size_t o) const { return latest_[o]; }

  /// Searches the windows that were set last. Returns `limit` where the nodes ran out or a stop was
  /// requested.
  [[nodiscard]] search_result search();
  /// Returns the operations of each rank in order, as types, of the schedule that was found.
  [[nodiscard]] std::vector<std::vector<std::int32_t>> const& order() const { return order_; }
  [[nodiscard]] ticks end(std::size_t o) const { return end_[o]; }

  static constexpr ticks never = std::numeric_limits<ticks>::min() / 4;
  static constexpr ticks whenever = std::numeric_limits<ticks>::max() / 4;

 private:
  using type = exact_shop::type;
  static constexpr std::int32_t none = exact_shop::none;
  struct branch {
    ticks latest_start = 0;
    std::int32_t of = none;
    bool hold = false;
  };

  [[nodiscard]] static std::size_t at(std::int32_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] type const& kind(std::int32_t t) const { return shop_.types[at(t)]; }
  /// Returns how many input gradients and weight gradients of a rank must be done before forward k
  /// fits under the cap. Exact where the rank has one forward type.
  [[nodiscard]] std::pair<std::int32_t, std::int32_t> room_before(type const& f,
                                                                  std::int32_t k) const;

  /// Computes the earliest starts of the open operations.
  void find_heads();

  /// Computes the latest end of each operation, independent of the operations done: by its rank's
  /// deadline and in time for its successors.
  void find_latest_ends(std::vector<ticks> const& deadline);
  void lower(std::size_t o, ticks to) { latest_[o] = std::min(latest_[o], to); }
  static int place(op_kind k);

  /// Returns whether the open work of each rank fits: Jackson's preemptive schedule, earliest
  /// deadline first.
  [[nodiscard]] bool fits();

  /// Returns when the next operation of a type can start, or nothing where it cannot.
  [[nodiscard]] std::optional<ticks> start_of(std::int32_t i) const;

  /// Searches below the current node.
  search_result descend();

  /// Branches: the type waits until another forward of its rank has run.
  search_result hold(std::int32_t i);

  /// Branches: the next operation of the type starts now.
  search_result start(std::int32_t i);

  /// Returns the number of operations done by type as a key, and the earliest starts that they
  /// allow for the open ones.
  [[nodiscard]] std::pair<std::string, std::vector<ticks>> memory() const;
  /// Returns whether a failed state with this key was no later anywhere.
  [[nodiscard]] bool dominated(std::string const& key, std::vector<ticks> const& state) const;

  struct piece {
    ticks head, latest, left;
  };
  exact_shop const& shop_;
  std::int64_t& nodes_left_;
  std::stop_token const& stop_;
  std::vector<ticks> end_{}, head_{}, latest_{};  // by operation
  std::vector<std::int32_t> done_{};              // by type
  std::vector<bool> held_{};
  std::vector<std::vector<std::int32_t>> order_{};
  std::vector<ticks> free_{};
  std::vector<std::int64_t> stash_{};
  std::int32_t left_ = 0;
  std::vector<piece> waiting_{}, ready_{};
  std::unordered_map<std::string, std::vector<std::vector<ticks>>> failed_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/search/job_shop.ipp"
#endif
