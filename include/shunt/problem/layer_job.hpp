#pragma once
/// Layers of a model that are still to be cut into pipeline stages.
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/core/units.hpp"

namespace shunt {

/// A layer: its times for one micro-batch in ticks, its bytes on the rank that holds it. A stage
/// takes the sum over its layers, where `forward` and `backward_input` count as at least 1 tick.
struct model_layer {
  std::string name{};
  ticks forward = 1;
  ticks backward_input = 1;  ///< 0 for an embedding, whose input has no gradient
  ticks backward_weight = 1;
  byte_count state_bytes = 0;       ///< parameters, gradients and optimizer state
  byte_count activation_bytes = 0;  ///< stashed from forward to backward_weight, a micro-batch

  bool operator==(model_layer const&) const = default;
};

/// A chain of L layers for D pipelines of N ranks each. All pipelines are alike: each has M
/// micro-batches and one replica of the model. Every rank holds at least one layer. The optimizer's
/// step is left out: it is the same for every cut up to its balance.
struct layer_job {
  std::vector<model_layer> layers{};
  std::int32_t ranks = 1;         ///< N, of one pipeline
  std::int32_t microbatches = 1;  ///< M, of one pipeline
  std::int32_t pipelines = 1;     ///< D
  ticks transfer = 0;             ///< between any two ranks
  byte_count memory = 0;          ///< of a rank, for states and stashes; 0: no limit

  bool operator==(layer_job const&) const = default;
};

/// Throws invalid_problem, which names field, layer and value, where there is no layer, there are
/// fewer layers than ranks or more than 32,000, a size is below 1, a cost, a byte count, the
/// transfer time or the memory is negative, D x L x M is beyond 31 bits, the times of one iteration
/// exceed 61 bits in sum, the state bytes 61 bits, or all stashes, each as heavy as the whole
/// model's, 61 bits.
void validate(layer_job const& job);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/problem/layer_job.ipp"
#endif
