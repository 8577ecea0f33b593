#pragma once
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Lane, batch, waits and condition of an instruction.
struct placing {
  std::uint8_t lane = 0;
  std::int32_t batch = -1;
  /// Indices of instructions on other lanes of the same rank, all smaller than its own.
  std::initializer_list<std::int32_t> after = {};
  /// An int64. The instruction runs where it isn't 0. Of size 0: it always runs.
  region condition = {};
};

/// Builds programs instruction by instruction. It checks no rules; `check` does. Each member that
/// adds an instruction appends it to the list of rank `r` and returns its index there.
class program_builder {
 public:
  using regions = std::span<region const>;

  SHUNT_CONSTEXPR explicit program_builder(std::int32_t ranks);

  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t ranks() const;
  [[nodiscard]] SHUNT_CONSTEXPR std::int32_t size(rank_id r) const;

  /// Adds a buffer of a rank under the next free number.
  /// Returns the number.
  SHUNT_CONSTEXPR buffer_id buffer(rank_id r, byte_count size, bool persistent = false);
  /// Adds a buffer under a given number. Numbers left out in between have size 0.
  SHUNT_CONSTEXPR void buffer(rank_id r, buffer_id at, byte_count size, bool persistent = false);
  /// Two numbers alone don't say which of both is meant.
  void buffer(rank_id r, byte_count, byte_count) = delete;
  /// Returns the region of a whole buffer.
  [[nodiscard]] SHUNT_CONSTEXPR region all_of(rank_id r, buffer_id b) const;

  /// Returns the group of these ranks in this order. The same list is the same group.
  SHUNT_CONSTEXPR group_id group(std::vector<rank_id> members);

  SHUNT_CONSTEXPR std::int32_t compute(rank_id r, operation const& op, regions reads,
                                       regions writes, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t compute(rank_id r, operation const& op,
                                       std::initializer_list<region> reads,
                                       std::initializer_list<region> writes,
                                       placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t send(rank_id r, rank_id to, region const& message,
                                    std::int32_t channel = 0, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t receive(rank_id r, rank_id from, region const& message,
                                       std::int32_t channel = 0, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t copy(rank_id r, region const& source, region const& target,
                                    placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t add(rank_id r, element type, region const& source,
                                   region const& target, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t fill(rank_id r, region const& target, placing const& at = {});
  /// The part of one member. Every member of the group needs its own call, in the same order of
  /// collectives. So do the other collectives.
  SHUNT_CONSTEXPR std::int32_t all_reduce(rank_id r, group_id g, element type, reduction reduce,
                                          region const& own, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t reduce_scatter(rank_id r, group_id g, element type, reduction reduce,
                                              region const& whole, region const& part,
                                              placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t all_gather(rank_id r, group_id g, region const& part,
                                          region const& whole, placing const& at = {});
  SHUNT_CONSTEXPR std::int32_t exchange(rank_id r, group_id g, region const& payload_out,
                                        region const& counts_out, region const& payload_in,
                                        region const& counts_in, placing const& at = {});

  /// Moves a region of one rank to a region of equal size of another: a send and a receive, or a
  /// copy where both ranks are the same. `at` applies to each instruction.
  SHUNT_CONSTEXPR void message(rank_id from, region const& source, rank_id to, region const& target,
                               std::int32_t channel = 0, placing const& at = {});

  [[nodiscard]] constexpr program const& peek() const { return program_; }
  [[nodiscard]] constexpr program finish() && { return std::move(program_); }

 private:
  static constexpr regions one(region const& r) { return {&r, 1}; }

  static SHUNT_CONSTEXPR slice put(std::vector<region>& table, regions items);

  SHUNT_CONSTEXPR std::int32_t append(rank_id r, instruction i, regions reads, regions writes,
                                      placing const& at);

  program program_;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/program/builder.ipp"
#endif
