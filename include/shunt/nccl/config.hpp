#pragma once
/// Configuration of the NCCL transport and executor.
#include <chrono>
#include <cstdint>
#include <functional>

namespace shunt {

/// Time limits and resources of one rank.
struct nccl_config {
  /// Limit of a wait for other members, where a communicator is made, connected or ended.
  std::chrono::milliseconds patience{30'000};
  /// A rank whose streams complete nothing for this long fails. Must exceed every instruction.
  std::chrono::milliseconds silence{30'000};
  /// Communicators of a rank besides that of all ranks. Each takes device memory.
  std::int32_t communicators = 64;
  std::int32_t blocks = 0;  ///< most blocks of the GPU a communicator; 0: NCCL's choice
  /// Called during waits. What it throws ends the wait: peer_lost where a failure detector names a
  /// rank, or run_aborted.
  std::function<void()> watch{};
};

/// Order in which floats are reduced.
enum class float_order : std::uint8_t {
  of_the_group,  ///< a left fold over the members: the bits of every other executor
  of_nccl,       ///< the order that NCCL finds fastest
};

}  // namespace shunt
