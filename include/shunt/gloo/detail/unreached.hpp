#pragma once
/// Members of an epoch that cannot reach each other, although all can use the directory. A member
/// that could not connect names the others in its sign; the deciding member leaves
/// members out until all others reach each other.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/number_files.hpp"

namespace shunt::detail {

/// Returns the name of the file in which a member says that it could not connect in an epoch, and
/// which members it could not reach.
[[nodiscard]] inline std::string failed_sign(gloo_config const& config, std::int32_t epoch,
                                             rank_id r) {
  return epoch_file(config, epoch, "failed", r);
}

/// Returns the members, ascending, that are to be left out so that all others reach each other: one
/// after another, new processes first (they have no state yet), then whom most cannot reach, and of
/// several the highest.
[[nodiscard]] inline std::vector<rank_id> unreached(gloo_config const& config, std::int32_t epoch,
                                                    std::vector<rank_id> members) {
  std::vector<std::pair<rank_id, rank_id>> pairs;
  for (rank_id const r : members)
    if (auto const named = read_numbers(config, failed_sign(config, epoch, r)))
      for (std::int64_t const other : *named)
        pairs.push_back(std::minmax(r, rank_id{static_cast<std::int32_t>(other)}));
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  std::erase_if(pairs, [&](auto const& p) {
    return !std::binary_search(members.begin(), members.end(), p.first) ||
           !std::binary_search(members.begin(), members.end(), p.second);
  });
  auto const of = [&](rank_id r) {
    return std::count_if(pairs.begin(), pairs.end(),
                         [&](auto const& p) { return p.first == r || p.second == r; });
  };
  // Those that were asked to come since the latest epoch in which all connected.
  auto latest = epoch - 1;
  auto const failed_in = [&](std::int32_t e) {
    return std::any_of(members.begin(), members.end(),
                       [&](rank_id r) { return config.files->exists(failed_sign(config, e, r)); });
  };
  while (!pairs.empty() && latest >= 0 && failed_in(latest)) --latest;
  auto const is_new = [&](rank_id r) {
    auto const asked =
        read_numbers(config, config.directory + "/invitation" + std::to_string(r.value()));
    return asked && !asked->empty() && asked->front() > latest && of(r) > 0;
  };
  std::vector<rank_id> left_out;
  while (!pairs.empty()) {
    auto const worst = *std::max_element(members.begin(), members.end(), [&](rank_id a, rank_id b) {
      return std::tuple(is_new(a), of(a), a) < std::tuple(is_new(b), of(b), b);
    });
    std::erase_if(pairs, [&](auto const& p) { return p.first == worst || p.second == worst; });
    left_out.insert(std::lower_bound(left_out.begin(), left_out.end(), worst), worst);
  }
  return left_out;
}

}  // namespace shunt::detail
