#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// The place of an instruction.
struct program_point {
  rank_id rank{};
  std::int32_t instruction = 0;
  bool operator==(program_point const&) const = default;
  auto operator<=>(program_point const&) const = default;
};

/// Matches between the ranks of a program, made by `find_dependencies`. Instructions are numbered
/// rank by rank: instruction i of rank r is `first[r] + i`.
struct dependencies {
  static constexpr std::int32_t none = -1;

  /// A collective of all ranks of a group: entries [first, first + count) of
  /// `dependencies::members`, in the group's order.
  struct collective_match {
    group_id group{};
    slice members{};
    bool operator==(collective_match const&) const = default;
  };

  /// One entry per rank, and the number of instructions at the end.
  std::vector<std::int32_t> first{};
  /// By number: the receive of a send, the send of a receive, the index in `collectives` of a
  /// collective; otherwise none.
  std::vector<std::int32_t> partner{};
  std::vector<collective_match> collectives{};
  /// Numbers of the members' instructions; none where a member has no matching collective.
  std::vector<std::int32_t> members{};

  [[nodiscard]] std::int32_t number(program_point at) const;
  [[nodiscard]] program_point point(std::int32_t number) const;
  [[nodiscard]] std::span<std::int32_t const> members_of(collective_match const& m) const;
};

/// Matches messages and collectives. An instruction without a counterpart has no match.
/// Requires ids in range and distinct members in each group.
/// Complexity: O(n log n) in the number of instructions.
[[nodiscard]] dependencies find_dependencies(program const& p);

/// Returns an order in which one thread can run all ranks under buffered sends. It keeps the order
/// of every list. The members of a collective are adjacent, in group order. Each rank runs until it
/// must wait; ranks continue in the order in which they became able to, so the order is unique.
/// Returns fewer instructions than the program has where ranks deadlock or a counterpart is
/// missing.
/// Complexity: O(n) in the number of instructions.
[[nodiscard]] std::vector<program_point> serial_order(program const& p, dependencies const& d);

/// Refuses a program whose ranks would wait forever. `order` is its `serial_order`.
/// Throws invalid_program, which names the instructions that wait for each other, or the one
/// without a counterpart.
void require_runnable(program const& p, dependencies const& d,
                      std::vector<program_point> const& order);
/// The same, where the caller needs neither dependencies nor order.
void require_runnable(program const& p);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/program/dependencies.ipp"
#endif
