#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "shunt/check/program.hpp"
#include "shunt/check/program_violation.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt::tests {

/// Two ranks with buffers 0 (64 bytes, persistent), 1 (64 bytes, persistent) and 2 (64 bytes, not
/// written).
inline program_builder two_ranks() {
  program_builder b(2);
  for (rank_id const r : {rank_id{0}, rank_id{1}})
    for (bool const persistent : {true, true, false}) b.buffer(r, 64, persistent);
  return b;
}

inline void expect_only(program const& p, std::vector<program_violation> const& expected) {
  auto const found = check(p);
  EXPECT_EQ(found, expected);
  for (auto const& v : found)
    EXPECT_EQ(std::count(expected.begin(), expected.end(), v), 1) << to_string(v);
}

}  // namespace shunt::tests
