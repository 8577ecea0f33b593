#pragma once
#include <cstdint>
#include <string_view>

namespace shunt {

/// Nodes of a training run between two steps: pipelines of one node a stage, some nodes with the
/// stage of a lost one too, and nodes that wait.
struct bamboo_nodes {
  std::int64_t pipelines = 0;
  std::int64_t stages = 1;
  std::int64_t overloaded = 0;  ///< nodes with two stages
  std::int64_t waiting = 0;

  bool operator==(bamboo_nodes const&) const = default;
};

/// Why all nodes form pipelines anew.
enum class rendezvous_cause : std::uint8_t {
  none,             ///< they don't
  replacement,      ///< as many nodes wait as have two stages
  unprotected,      ///< more than 5 % of the active nodes have two stages or no shadow
  another_pipeline  ///< the nodes suffice for one more
};

[[nodiscard]] std::string_view to_string(rendezvous_cause c);

/// Bamboo's rule for a rendezvous after a step, with floor(nodes / S) pipelines. With `overloaded`
/// nodes of D x S lost ones, A = D S - overloaded are active. The authors' simulator and the
/// coordinator that they ship differ.
/// Reference: Thorpe et al., Bamboo, NSDI 2023; the rules are those of the authors' code.
struct bamboo_rendezvous {
  enum class rules : std::uint8_t {
    /// Replacement where waiting >= overloaded > 0; unprotected where 2 overloaded / A > 5 %;
    /// another pipeline where floor((A + waiting) / S) > D.
    simulator,
    /// Another pipeline alone, where floor((A + waiting - overloaded) / S) > D.
    coordinator,
  };
  rules of = rules::simulator;

  /// Returns the first cause in the order of `rendezvous_cause`.
  /// Throws invalid_problem, which names the field, where a number is negative or beyond 2^30,
  /// there is no stage, or more nodes have two stages than pipelines x stages / 2.
  [[nodiscard]] rendezvous_cause operator()(bamboo_nodes const& nodes) const;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/solve/pipeline/bamboo_rendezvous.ipp"
#endif
