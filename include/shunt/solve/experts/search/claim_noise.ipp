#pragma once
#include "shunt/solve/experts/search/claim_noise.hpp"

#include <algorithm>
#include <cstddef>

namespace shunt::detail {

SHUNT_CONSTEXPR std::vector<std::int64_t> claim_noise::order(std::int64_t tokens) const {
  struct claim {
    std::uint64_t noise = 0;
    std::int64_t token = 0;
  };
  std::vector<claim> claims;
  for (std::int64_t t = 0; t < tokens; ++t) claims.push_back({(*this)(t), t});
  std::sort(claims.begin(), claims.end(), [](claim const& a, claim const& b) {
    return a.noise != b.noise ? a.noise > b.noise : a.token < b.token;
  });
  std::vector<std::int64_t> all;
  for (auto const& c : claims) all.push_back(c.token);
  return all;
}

}  // namespace shunt::detail
