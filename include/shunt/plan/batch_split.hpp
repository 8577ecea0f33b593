#pragma once
#include <cstdint>
#include <vector>

namespace shunt {

/// Micro-batches of an iteration over pipelines.
struct batch_split {
  std::vector<std::vector<std::int64_t>> microbatches{};  ///< by template, by pipeline of it

  bool operator==(batch_split const&) const = default;
};

}  // namespace shunt
