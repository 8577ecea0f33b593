#pragma once
#include <cstdint>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/measure/replay.hpp"
#include "shunt/measure/symi_costs.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// What one layer with experts does in an iteration. Numbers of tokens, gradients and experts.
struct moe_layer_work {
  double computed = 0;   ///< tokens that the slots of the fullest rank take
  double exchanged = 0;  ///< the most tokens that a rank sends to others or receives from them
  /// Gradients of G bytes, and weights of W bytes, that pass between ranks, all ranks together.
  double gradients = 0, weights = 0;
  double received = 0;  ///< experts newly received by the rank that receives most

  bool operator==(moe_layer_work const&) const = default;
};

/// Seconds of one layer in an iteration, by part.
struct moe_times {
  double compute = 0;
  double exchange = 0;
  double gradient = 0, weights = 0;  ///< by counted bytes
  double migrate = 0;
  /// The same two phases by the formula: static_time or decoupled_time.
  double gradient_formula = 0, weights_formula = 0;

  /// Return all seconds, with the phases by counted bytes or by the formula.
  [[nodiscard]] constexpr double total() const {
    return compute + exchange + gradient + weights + migrate;
  }
  [[nodiscard]] constexpr double total_by_formula() const {
    return compute + exchange + gradient_formula + weights_formula + migrate;
  }
  constexpr moe_times& operator+=(moe_times const& other) {
    compute += other.compute;
    exchange += other.exchange;
    gradient += other.gradient;
    weights += other.weights;
    migrate += other.migrate;
    gradient_formula += other.gradient_formula;
    weights_formula += other.weights_formula;
    return *this;
  }
  bool operator==(moe_times const&) const = default;
};

/// The time of an iteration, a layer:
///   compute   c x tokens of the fullest rank + c0
///   exchange  4 x most tokens exchanged x bytes of a token / BW_net: to the experts and back,
///             forwards and backwards
///   gradient, weights  counted: X's between ranks x X / (N BW_net) + (E/N) X / BW_pci, X = G, W
///   migrate   experts received x (W + O) / BW_net if optimizer state is tied to instances, else 0
/// Reference: SYMI, arXiv 2504.19925, section 4 and appendix A.2.
struct moe_time_model {
  expert_traffic sizes{};
  double token_bytes = 0;    ///< of a token's activations
  double token_seconds = 0;  ///< c, of a token in an expert, forwards and backwards
  double fixed_seconds = 0;  ///< c0, of all that depends on no placement

  /// Returns the seconds of a layer. `at_home` counts as decoupled, for its copies don't outlive an
  /// iteration.
  [[nodiscard]] SHUNT_CONSTEXPR moe_times operator()(moe_layer_work const& work,
                                                     optimizer_place where) const;
  /// Returns the bytes that a second copy of slots takes on the rank that receives most, while
  /// weights and state of its new experts arrive: received x (W + O).
  [[nodiscard]] constexpr double second_copy_bytes(double received) const {
    return received * (sizes.weight_bytes + sizes.state_bytes);
  }
};

/// How the one free constant of moe_time_model, c0 + c x tokens of a rank, is found.
struct moe_calibration {
  double tokens = 2048;  ///< of a rank in an iteration: SYMI's 64 sequences of 512 on 16 ranks
  /// An iteration in which a rank receives s new experts over one without re-placement: FlexMoE
  /// with GPT-Small in SYMI's evaluation.
  double replacement_ratio = 2.46;
  /// Part of the constant in proportion to tokens. SYMI's Table 1: a forward pass takes 455 ms, and
  /// 51 ms more as capacities double.
  double token_share = 0.11;
};

/// Returns the seconds of an iteration that re-places nothing, a layer: s (W + O) / BW_net over
/// replacement_ratio - 1.
[[nodiscard]] SHUNT_CONSTEXPR double ordinary_seconds(expert_traffic const& sizes,
                                                      moe_calibration const& by = {});

/// Returns the model under which such an iteration takes ordinary_seconds if optimizer state is
/// tied to instances, all ranks take `tokens` tokens and send (N-1)/N of them to others.
/// Throws invalid_problem, which names the field, if a size or bandwidth is not above 0 or not
/// finite (`host_bandwidth` may be infinite), the ratio is not above 1, the share not within 0 and
/// 1, or the phases and exchange alone take longer.
[[nodiscard]] SHUNT_CONSTEXPR moe_time_model calibrated(expert_traffic const& sizes,
                                                        double token_bytes,
                                                        moe_calibration const& by = {});

/// Returns the tokens that a rank sends to others in DeepSpeed-MoE's dispatch, whose parts are all
/// padded to `room` tokens: (1 - 1/ep) E C in expert-parallel groups of ep = E/s ranks, at least 1.
[[nodiscard]] SHUNT_CONSTEXPR double padded_exchange(double experts, double slots_per_rank,
                                                     double room);

/// Returns the most optimizer state of a rank, in states of one expert, if an expert's state is cut
/// evenly over the ranks that hold it: the sum over its experts of 1 / their hosts.
/// Requires an expert in every slot.
/// Complexity: O(slots + experts).
[[nodiscard]] SHUNT_CONSTEXPR double tied_state(expert_placement const& placement, layer_id layer);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/measure/moe_time.ipp"
#endif
