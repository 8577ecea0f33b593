#pragma once
/// Checks of the transfers in a CSV of torch.distributed.pipelining.
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "shunt/io/detail/pytorch_table.hpp"

namespace shunt::detail {

class pytorch_transfers {
 public:
  using place = pytorch_table::place;

  explicit pytorch_transfers(pytorch_table const& table);

  /// Checks that every transfer is there, in its place and in the same order at both ends, and that
  /// all ranks reach the end: where each receive waits for its send, and also where each send waits
  /// for its receive.
  /// Throws invalid_problem, which names row and column; for ranks that wait for each other all
  /// transfers of the cycle.
  void check();
  /// Checks that a wait follows each send and each reduction, and that a rank has one reduction in
  /// progress at most, as PyTorch demands since 2.15.
  /// Throws invalid_problem, which names row and column.
  void check_waits() const;

 private:
  /// Checks one message: made, sent, received and used in this order; none within a rank.
  void message(place made, place send, place recv, place used, char const* direction);

  void all_transferred();

  /// Runs each row up to a transfer whose other end has not been reached, until no row advances. A
  /// send waits for its receive only where `rendezvous` says so.
  void run(bool rendezvous) const;

  /// Refuses the cycle of rows that wait for each other; `next` has the place that each has
  /// reached.
  [[noreturn]] void refuse_cycle(std::vector<std::int64_t> const& next, bool rendezvous) const;

  pytorch_table const& table_;
  std::vector<std::vector<place>> other_end_{};  // of each send and receive
  /// Positions of send and receive of each message between two rows.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::pair<std::int64_t, std::int64_t>>>
      sent_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/io/detail/pytorch_transfers.ipp"
#endif
