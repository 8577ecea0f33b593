#pragma once
#include "shunt/problem/layer_job.hpp"

#include <cstddef>
#include <optional>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE void validate(layer_job const& job) {
  auto const at_least = [](char const* field, std::int64_t value, std::int64_t least) {
    if (value < least)
      throw invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                       std::to_string(value));
  };
  auto const layers = static_cast<std::int64_t>(job.layers.size());
  at_least("ranks", job.ranks, 1);
  at_least("microbatches", job.microbatches, 1);
  at_least("pipelines", job.pipelines, 1);
  at_least("transfer", job.transfer, 0);
  at_least("memory", job.memory, 0);
  if (layers == 0) throw invalid_problem("layers", "there is none");
  if (layers > 32'000)
    throw invalid_problem("layers", "are " + std::to_string(layers) + ", must be at most 32000");
  if (layers < job.ranks)
    throw invalid_problem("layers", "are " + std::to_string(layers) + ", fewer than the " +
                                        std::to_string(job.ranks) + " ranks of a pipeline");
  std::int64_t const all = std::int64_t{job.pipelines} * job.microbatches;  // fits 62 bits
  auto const cells = checked_multiply(all, layers);
  if (!cells || *cells >= std::int64_t{1} << 31)
    throw invalid_problem("microbatches", "pipelines x layers x microbatches is beyond 31 bits");

  constexpr std::int64_t most = std::int64_t{1} << 61;
  // Room for the ticks that a stage takes at least, and for every message.
  auto const messages = checked_multiply(job.transfer, 2 * *cells);
  auto const least_times = messages ? checked_add(*messages, 2 * *cells) : messages;
  if (!least_times || *least_times > most)
    throw invalid_problem("transfer", "is " + std::to_string(job.transfer) +
                                          ": the times of one iteration add up beyond 61 bits");
  std::int64_t times = *least_times, states = 0, stashes = 0;
  for (std::size_t l = 0; l < job.layers.size(); ++l) {
    auto const& layer = job.layers[l];
    auto const refuse = [&](char const* field, std::string const& why) {
      throw invalid_problem(
          "layers[" + std::to_string(l) + "]." + field,
          why + (layer.name.empty() ? std::string() : " (layer " + layer.name + ")"));
    };
    auto const grow = [&](char const* field, std::int64_t value, std::int64_t count,
                          std::int64_t& sum, char const* what) {
      if (value < 0) refuse(field, "must be at least 0, is " + std::to_string(value));
      auto const product = checked_multiply(value, count);
      auto const larger = product ? checked_add(sum, *product) : std::nullopt;
      if (!larger || *larger > most)
        refuse(field, "is " + std::to_string(value) + ": " + what + " add up beyond 61 bits");
      sum = *larger;
    };
    for (auto const& [field, cost] :
         {std::pair{"forward", layer.forward}, std::pair{"backward_input", layer.backward_input},
          std::pair{"backward_weight", layer.backward_weight}})
      grow(field, cost, all, times, "the times of one iteration");
    grow("state_bytes", layer.state_bytes, 1, states, "the states");
    grow("activation_bytes", layer.activation_bytes, *cells, stashes,
         "the stashes of one iteration");
  }
}

}  // namespace shunt
