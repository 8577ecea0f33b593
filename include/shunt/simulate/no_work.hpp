#pragma once
#include <cstddef>
#include <span>

#include "shunt/execute/work.hpp"

namespace shunt {

/// The work of a program of which only the times are wanted. `simulated_executor` touches no memory
/// for it; other executors refuse it where a program has buffers.
struct no_work {
  void operator()(rank_id, task const&) const {}
  [[nodiscard]] std::span<std::byte> buffer(rank_id, buffer_id) const { return {}; }
};

static_assert(work<no_work>);

}  // namespace shunt
