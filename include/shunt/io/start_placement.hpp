#pragma once
/// Placements as serving systems read them when they start.
#include <cstdint>
#include <ostream>
#include <span>

#include "shunt/plan/expert_placement.hpp"

namespace shunt {

/// Where a placement is read: vLLM's initial_expert_map_path, a list of lists; SGLang's
/// --init-expert-location; the configuration of TensorRT-LLM's moe_config.load_balancer, YAML.
enum class start_format : std::uint8_t { vllm, sglang, trtllm };

/// Writes a placement for a start. `numbers` are those of the layers in the model, ascending, one a
/// layer of the plan. SGLang wants a row for every layer from 0 on: slot k of a layer without
/// experts holds k modulo the experts, as SGLang has it by itself.
/// Requires as many slots on every rank, for these systems deal them so.
void write_start_placement(std::ostream& out, start_format format, expert_placement const& plan,
                           std::span<std::int64_t const> numbers);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/start_placement.ipp"
#endif
