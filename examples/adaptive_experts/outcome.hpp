#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "shunt/train/moe_history.hpp"
#include "training.hpp"

namespace example {

/// What a policy came to.
struct policy_run {
  std::string name{};
  std::uint64_t seed = 1;
  std::vector<iteration_record> records{};
  std::vector<float> parameters{};  ///< at the end
  /// The most optimizer state of a rank in a layer, in experts, if it were tied to their replicas;
  /// of placements after the first. Not known of runs in processes.
  double tied_state = 0;
  double seconds = 0;
};

/// Where two runs differ, in words: the first iteration whose losses aren't the same bits, or the
/// first parameter at the end that isn't. Nothing where they are equal.
inline std::optional<std::string> difference(policy_run const& a, policy_run const& b) {
  auto const what = [&](char const* kind, std::size_t at) {
    return "differ: " + std::string(kind) + " " + std::to_string(at) + " of " + a.name + " and " +
           b.name;
  };
  auto const same = [](auto x, auto y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  if (a.records.size() != b.records.size() || a.parameters.size() != b.parameters.size())
    return what("sizes", 0);
  for (std::size_t t = 0; t < a.records.size(); ++t)
    if (!same(a.records[t].loss, b.records[t].loss)) return what("losses of iteration", t);
  for (std::size_t i = 0; i < a.parameters.size(); ++i)
    if (!same(a.parameters[i], b.parameters[i])) return what("parameters", i);
  return std::nullopt;
}

}  // namespace example
