#pragma once
/// Actions and cells of torch.distributed.pipelining's CSV, parsed and printed.
/// Reference: PyTorch 2.14 and 2.15, torch/distributed/pipelining/schedules.py, class _Action.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"

namespace shunt {

/// The release whose loader takes a file with transfers. The loader of 2.15 demands a wait for each
/// send and each reduction; that of 2.14 knows no waits. Files without transfers suit both.
enum class pytorch_release : std::uint8_t { v2_14, v2_15 };

/// One action, written stage first: "2F0", "1SEND_B3", "0REDUCE_GRAD". F forward, B fused backward,
/// I backward_input, W backward_weight.
/// A send or receive names the stage on whose rank it stands: 0SEND_F1 matches 1RECV_F1, 1SEND_B3
/// matches 0RECV_B3. 0WAIT_SEND_F1 waits for 0SEND_F1 (since 2.15).
/// UNSHARD, RESHARD (of a stage's parameters), REDUCE_GRAD (which also scales the gradient) and
/// WAIT_REDUCE_GRAD (since 2.15) apply to a whole stage.
struct pytorch_action {
  enum class kind : std::uint8_t {
    forward,
    backward,
    input,
    weight,
    send_f,
    recv_f,
    send_b,
    recv_b,
    wait_send_f,
    wait_send_b,
    unshard,
    reshard,
    reduce_grad,
    wait_reduce_grad
  };

  kind what = kind::forward;
  stage_id stage{};
  microbatch_id microbatch = -1;  ///< -1: of the whole stage

  [[nodiscard]] constexpr bool computes() const { return what <= kind::weight; }
  [[nodiscard]] SHUNT_CONSTEXPR bool sends() const;
  [[nodiscard]] SHUNT_CONSTEXPR bool receives() const;
  [[nodiscard]] SHUNT_CONSTEXPR bool waits() const;
  [[nodiscard]] constexpr bool of_whole_stage() const { return what >= kind::unshard; }
  /// Returns the operation of an action that computes.
  [[nodiscard]] SHUNT_CONSTEXPR op_kind operation() const;
  bool operator==(pytorch_action const&) const = default;
};

/// A cell of a schedule: one action, or an overlapped forward and backward, "(0F3;3B1)OVERLAP_F_B".
struct pytorch_cell {
  pytorch_action first{};
  std::optional<pytorch_action> second{};
  bool operator==(pytorch_cell const&) const = default;
};

namespace detail {
inline constexpr std::array<std::string_view, 14> pytorch_names{"F",           "B",
                                                                "I",           "W",
                                                                "SEND_F",      "RECV_F",
                                                                "SEND_B",      "RECV_B",
                                                                "WAIT_SEND_F", "WAIT_SEND_B",
                                                                "UNSHARD",     "RESHARD",
                                                                "REDUCE_GRAD", "WAIT_REDUCE_GRAD"};
inline constexpr std::string_view pytorch_overlap = "OVERLAP_F_B";

[[nodiscard]] SHUNT_CONSTEXPR std::string_view trimmed(std::string_view text);

/// Returns the beginning of a text in quotes, on one line.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace detail

[[nodiscard]] SHUNT_CONSTEXPR std::string_view to_string(pytorch_release r);
[[nodiscard]] std::string to_string(pytorch_action const& a);
[[nodiscard]] std::string to_string(pytorch_cell const& c);

/// Parses one action, all of `text`. PyTorch itself accepts "2F" and "2F0garbage".
/// Throws invalid_problem with the field `at`: no stage, an unknown action, a missing or
/// superfluous micro-batch, anything behind the action.
[[nodiscard]] pytorch_action parse_pytorch_action(std::string_view text, std::string const& at);

/// Parses a cell. A forward overlapped with both halves of a backward, "(0F3;3I1;3W1)OVERLAP_F_B",
/// is overlapped with the backward: PyTorch runs the parts one after the other.
/// Throws invalid_problem like parse_pytorch_action, and where an overlap is not one of a forward
/// and a backward.
[[nodiscard]] pytorch_cell parse_pytorch_cell(std::string_view text, std::string const& at);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/pytorch_action.ipp"
#endif
