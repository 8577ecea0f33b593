#pragma once
/// Operands of a pipeline's operations by name. The lowerings write them and works read them by
/// these types, never by position. A lowering with other operands then doesn't compile with a work
/// of the former ones.
#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "shunt/core/error.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Operands of a forward.
struct forward_operands {
  region state{}, input{}, output{}, stash{};

  [[nodiscard]] static constexpr forward_operands of(std::span<region const> in,
                                                     std::span<region const> out) {
    return {in[0], in[1], out[0], out[1]};
  }
  [[nodiscard]] constexpr std::array<region, 2> reads() const { return {state, input}; }
  [[nodiscard]] constexpr std::array<region, 2> writes() const { return {output, stash}; }
};

/// Operands of the gradient of a stage's input. The stash is read and written.
struct backward_input_operands {
  region state{}, input{}, stash{}, output_gradient{}, input_gradient{};

  [[nodiscard]] static constexpr backward_input_operands of(std::span<region const> in,
                                                            std::span<region const> out) {
    return {in[0], in[1], out[1], in[3], out[0]};
  }
  [[nodiscard]] constexpr std::array<region, 4> reads() const {
    return {state, input, stash, output_gradient};
  }
  [[nodiscard]] constexpr std::array<region, 2> writes() const { return {input_gradient, stash}; }
};

/// Operands of the gradient of a stage's parameters, which is added to `gradient`. `flag` counts
/// values that can't be added.
struct backward_weight_operands {
  region state{}, input{}, stash{}, output_gradient{}, gradient{}, flag{};

  [[nodiscard]] static constexpr backward_weight_operands of(std::span<region const> in,
                                                             std::span<region const> out) {
    return {in[0], in[1], in[2], in[3], out[0], out[1]};
  }
  [[nodiscard]] constexpr std::array<region, 6> reads() const {
    return {state, input, stash, output_gradient, gradient, flag};
  }
  [[nodiscard]] constexpr std::array<region, 2> writes() const { return {gradient, flag}; }
};

/// Operands of a whole backward: the gradient of the input, then that of the parameters.
struct backward_operands {
  region state{}, input{}, stash{}, output_gradient{}, gradient{}, flag{}, input_gradient{};

  [[nodiscard]] static constexpr backward_operands of(std::span<region const> in,
                                                      std::span<region const> out) {
    return {in[0], in[1], out[1], in[3], out[2], out[3], out[0]};
  }
  [[nodiscard]] constexpr std::array<region, 6> reads() const {
    return {state, input, stash, output_gradient, gradient, flag};
  }
  [[nodiscard]] constexpr std::array<region, 4> writes() const {
    return {input_gradient, stash, gradient, flag};
  }
  [[nodiscard]] constexpr backward_input_operands of_input() const {
    return {state, input, stash, output_gradient, input_gradient};
  }
  [[nodiscard]] constexpr backward_weight_operands of_weight() const {
    return {state, input, stash, output_gradient, gradient, flag};
  }
};

/// Operands of a step. The flag says whether it is made.
struct step_operands {
  region gradient{}, flag{}, state{};

  [[nodiscard]] static constexpr step_operands of(std::span<region const> in,
                                                  std::span<region const> out) {
    return {in[0], in[1], out[0]};
  }
  [[nodiscard]] constexpr std::array<region, 3> reads() const { return {gradient, flag, state}; }
  [[nodiscard]] constexpr std::array<region, 1> writes() const { return {state}; }
};

/// Operands of a step that is validated. The norms so far take the flag's place.
struct validated_step_operands {
  region gradient{}, norms{}, state{}, record{};

  [[nodiscard]] static constexpr validated_step_operands of(std::span<region const> in,
                                                            std::span<region const> out) {
    return {in[0], in[1], out[0], out[1]};
  }
  [[nodiscard]] constexpr std::array<region, 3> reads() const { return {gradient, norms, state}; }
  [[nodiscard]] constexpr std::array<region, 2> writes() const { return {state, record}; }
  /// Whether a step with these results is a validated one.
  [[nodiscard]] static constexpr bool match(std::span<region const> out) { return out.size() == 2; }
};

/// Operands of a stage's part of the norms (gradient_norms).
struct gradient_norm_operands {
  region gradient{}, flag{}, norms{};

  [[nodiscard]] static constexpr gradient_norm_operands of(std::span<region const> in,
                                                           std::span<region const> out) {
    return {in[0], in[1], out[0]};
  }
  [[nodiscard]] constexpr std::array<region, 2> reads() const { return {gradient, flag}; }
  [[nodiscard]] constexpr std::array<region, 1> writes() const { return {norms}; }
};

/// Operands of the decision on the last step. `words` are two int64: redo, again.
struct validate_step_operands {
  region norms{}, record{}, words{};

  [[nodiscard]] static constexpr validate_step_operands of(std::span<region const> in,
                                                           std::span<region const> out) {
    return {in[0], in[1], out[0]};
  }
  [[nodiscard]] constexpr std::array<region, 2> reads() const { return {norms, record}; }
  [[nodiscard]] constexpr std::array<region, 1> writes() const { return {words}; }
};

/// Operands of a step that is made again.
struct redo_step_operands {
  region gradient{}, norms{}, state{}, record{};

  [[nodiscard]] static constexpr redo_step_operands of(std::span<region const> in,
                                                       std::span<region const> out) {
    return {in[0], in[1], out[0], out[1]};
  }
  [[nodiscard]] constexpr std::array<region, 4> reads() const {
    return {gradient, norms, state, record};
  }
  [[nodiscard]] constexpr std::array<region, 2> writes() const { return {state, record}; }
};

/// Returns the operands of a task of this kind (execute/work.hpp, execute/stream_work.hpp).
/// Throws invalid_program where the task has another number of operands.
template <class Operands, class Task>
[[nodiscard]] constexpr Operands operands_of(Task const& t) {
  constexpr std::size_t reads = Operands{}.reads().size(), writes = Operands{}.writes().size();
  if (t.reads.size() != reads || t.writes.size() != writes)
    throw invalid_program(std::string(to_string(t.op.kind)) + " reads " +
                          std::to_string(t.reads.size()) + " regions and writes " +
                          std::to_string(t.writes.size()) + ", expected are " +
                          std::to_string(reads) + " and " + std::to_string(writes));
  return Operands::of(t.reads, t.writes);
}

}  // namespace shunt
