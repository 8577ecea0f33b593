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
  /// ranks which wait at each receive reach the end.
  /// Throws invalid_problem, which names row and column.
  void check();

 private:
  /// Checks one message: made, sent, received and used in this order; none within a rank.
  void message(place made, place send, place recv, place used, char const* direction);

  void all_transferred();

  /// Runs each row up to a receive whose send has not run, until no row advances.
  void run();

  pytorch_table const& table_;
  std::vector<std::vector<place>> sender_{};  // of each receive
  /// Positions of send and receive of each message between two rows.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::pair<std::int64_t, std::int64_t>>>
      sent_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/io/detail/pytorch_transfers.ipp"
#endif
