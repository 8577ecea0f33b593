#pragma once
#include "shunt/solve/pipeline/search/side_by_side.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE side_by_side::side_by_side(std::vector<grouped_list> const& lists,
                                        std::size_t groups) {
  struct group_state {
    std::size_t lists = 0, longest = 0, all = 0, next = 0, stride = 1;
    bool beside = true;
  };
  std::vector<group_state> of(groups);
  for (auto const& [group, length] : lists) {
    auto& g = of[static_cast<std::size_t>(group)];
    ++g.lists;
    g.longest = std::max(g.longest, static_cast<std::size_t>(length));
    g.all += static_cast<std::size_t>(length);
  }
  for (auto& g : of) {
    g.next = entries;
    g.stride = g.lists | 1;  // odd: the entries of a list fall on all sets of a cache
    g.beside = g.longest * g.stride <= g.all + g.all / 4;
    entries += g.beside ? g.longest * g.stride : g.all;
  }
  for (auto const& [group, length] : lists) {
    auto& g = of[static_cast<std::size_t>(group)];
    columns.push_back({g.next, g.beside ? g.stride : 1});
    g.next += g.beside ? 1 : static_cast<std::size_t>(length);
  }
}

}  // namespace shunt::detail
