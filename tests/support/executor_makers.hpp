#pragma once
/// Every executor of one process, for typed suites: Maker::with(failures) returns it.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "shunt/execute/executor.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/nccl/executor.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "support/host_streams.hpp"
#include "support/nccl_double.hpp"
#include "support/sample_programs.hpp"

namespace shunt::tests::executor_makers {

struct on_one_thread {
  static auto with(std::vector<failure_point> failures = {}) {
    return inline_executor{.failures = std::move(failures)};
  }
};
struct on_threads {
  static constexpr bool by_the_clock = true;  // a rank may begin after others have stopped
  static auto with(std::vector<failure_point> failures = {}) {
    return thread_executor{.failures = std::move(failures),
                           .timeout = std::chrono::milliseconds(4)};
  }
};
struct in_virtual_time {
  static auto with(std::vector<failure_point> failures = {}) {
    return simulated_executor{
        .cost = uneven_costs{}, .failures = std::move(failures), .timeout = 3};
  }
};

struct on_streams {
  static auto with(std::vector<failure_point> failures = {}) {
    return on_host_streams(++seed, std::move(failures));
  }
  static inline std::uint64_t seed = 0;
};
struct as_graphs {
  static auto with(std::vector<failure_point> failures = {}) {
    return as_host_graphs(++seed, std::move(failures));
  }
  static inline std::uint64_t seed = 0;
};

struct over_nccl {
  static constexpr bool by_the_clock = true;
  static constexpr bool sends_wait =
      true;  // for their receives, where the program gets along with that
  static auto with(std::vector<failure_point> failures = {}) {
    nccl_double::world().reset({.seed = ++seed});
    return nccl_executor<nccl_double::api, nccl_double::devices>{
        .failures = std::move(failures), .timeout = std::chrono::milliseconds(4)};
  }
  static inline std::uint64_t seed = 0;
};

using every_maker =
    testing::Types<on_one_thread, on_threads, in_virtual_time, on_streams, as_graphs, over_nccl>;

}  // namespace shunt::tests::executor_makers
