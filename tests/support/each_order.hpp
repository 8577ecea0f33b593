#pragma once
#include <cstddef>
#include <functional>
#include <vector>

#include "shunt/core/operation.hpp"

namespace shunt::tests {

/// Calls `use` with `list` filled in each order of all operations that keeps every chain's own.
/// `fits` says after each operation whether to go on from there.
template <class Fits, class Use>
void each_order(std::vector<std::vector<operation>> const& chains, std::vector<operation>& list,
                Fits const& fits, Use const& use) {
  std::vector<std::size_t> at(chains.size(), 0);
  std::function<void()> const go_on = [&] {
    bool ended = true;
    for (std::size_t c = 0; c < chains.size(); ++c) {
      if (at[c] == chains[c].size()) continue;
      ended = false;
      list.push_back(chains[c][at[c]++]);
      if (fits()) go_on();
      --at[c];
      list.pop_back();
    }
    if (ended) use();
  };
  go_on();
}

}  // namespace shunt::tests
