#pragma once
#include "shunt/check/detail/event_graph.hpp"

#include <utility>

namespace shunt::detail {

SHUNT_CONSTEXPR void event_graph::counted() {
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  later_.resize(first_.back());
  waits_.assign(joined_.size(), 0);
}

SHUNT_CONSTEXPR void event_graph::join(std::size_t a, std::size_t b) {
  if (joined_[a] == unjoined) joined_[a] = a;
  if (joined_[b] == unjoined) joined_[b] = b;
  std::swap(joined_[a], joined_[b]);
}

SHUNT_CONSTEXPR void event_graph::run() {
  std::vector<std::size_t> able;
  for (std::size_t i = 0; i < joined_.size(); ++i)
    if (can_happen(i)) happen(i, able);
  while (!able.empty()) {
    auto const i = able.back();
    able.pop_back();
    if (can_happen(i)) happen(i, able);
  }
}

constexpr bool event_graph::can_happen(std::size_t i) const {
  if (done_[i] != 0 || waits_[i] > 0) return false;
  if (joined_[i] == unjoined) return true;
  for (std::size_t k = joined_[i]; k != i; k = joined_[k])
    if (waits_[k] > 0) return false;
  return true;
}

constexpr void event_graph::happen(std::size_t i, std::vector<std::size_t>& able) {
  std::size_t k = i;
  do {
    done_[k] = 1;
    for (std::size_t e = first_[k]; e < first_[k + 1]; ++e)
      if (--waits_[later_[e]] == 0) able.push_back(later_[e]);
    k = joined_[k] == unjoined ? i : joined_[k];
  } while (k != i);
}

}  // namespace shunt::detail
