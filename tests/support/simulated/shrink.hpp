#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "support/simulated/history.hpp"

namespace shunt::tests::simulated {

/// Returns the histories that are a little less than one: without a fault or a join, with a shorter
/// fault, with fewer ranks or iterations, without lost messages.
[[nodiscard]] inline std::vector<history> lesser(history const& h) {
  std::vector<history> all;
  auto const with = [&](auto const& change) {
    history less = h;
    change(less);
    all.push_back(std::move(less));
  };
  for (std::size_t i = 0; i < h.faults.size(); ++i)
    with([&](history& less) {
      less.faults.erase(less.faults.begin() + static_cast<std::ptrdiff_t>(i));
    });
  for (std::size_t i = 0; i < h.joins.size(); ++i)
    with([&](history& less) {
      less.joins.erase(less.joins.begin() + static_cast<std::ptrdiff_t>(i));
    });
  if (h.lost_once_in > 0) with([](history& less) { less.lost_once_in = 0; });
  std::int32_t highest = 2;
  for (auto const& f : h.faults)
    for (auto const r : f.ranks) highest = std::max(highest, r);
  for (auto const& j : h.joins) highest = std::max(highest, j.rank);
  constexpr std::array<std::array<std::int32_t, 3>, 4> jobs{
      {{3, 1, 3}, {4, 1, 4}, {2, 2, 3}, {3, 2, 3}}};
  for (auto const& job : jobs)
    if (job[0] * job[1] > highest && job[0] * job[1] < h.ranks())
      with([&](history& less) {
        less.pipelines = job[0], less.stages = job[1], less.microbatches = job[2];
      });
  std::int64_t last = 1;
  for (auto const& j : h.joins) last = std::max(last, j.iteration);
  if (h.iterations - 1 > last) with([](history& less) { --less.iterations; });
  for (std::size_t i = 0; i < h.faults.size(); ++i) {
    if (h.faults[i].lasts > 1) with([&](history& less) { less.faults[i].lasts /= 2; });
    if (h.faults[i].ranks.size() > 2 ||
        (h.faults[i].ranks.size() == 2 &&
         (h.faults[i].kind == fault_kind::stop || h.faults[i].kind == fault_kind::cut)))
      with([&](history& less) { less.faults[i].ranks.pop_back(); });
  }
  return all;
}

/// Returns the least history that is found to fail too, with whatever seed near its own.
[[nodiscard]] inline history shrunk(history h, std::function<bool(history const&)> const& fails,
                                    std::uint64_t seeds = 20) {
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (auto less : lesser(h)) {
      for (std::uint64_t n = 0; n < seeds && !smaller; ++n) {
        less.seed = h.seed + n;
        smaller = fails(less);
      }
      if (!smaller) continue;
      h = std::move(less);
      break;
    }
  }
  return h;
}

}  // namespace shunt::tests::simulated
