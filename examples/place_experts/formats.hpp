#pragma once
/// Placements as serving systems read them when they start: vLLM's list of maps, SGLang's
/// --init-expert-location, TensorRT-LLM's configuration of its load balancer.
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_placement.hpp"

namespace place_experts {

[[nodiscard]] inline bool is_start_format(std::string_view format) {
  return format == "vllm" || format == "sglang" || format == "trtllm";
}

/// Throws invalid_problem unless all live ranks have as many slots: these systems deal them so.
inline void require_equal_slots(std::string const& format,
                                std::span<std::int32_t const> slots_per_rank) {
  std::int32_t each = 0;
  for (std::size_t r = 0; r < slots_per_rank.size(); ++r) {
    if (slots_per_rank[r] == 0) continue;
    if (each == 0) each = slots_per_rank[r];
    if (slots_per_rank[r] != each)
      throw shunt::invalid_problem(
          "--slots", "--format " + format + " deals all ranks as many; rank " + std::to_string(r) +
                         " has " + std::to_string(slots_per_rank[r]) + " of " +
                         std::to_string(each));
  }
}

/// The slots of a layer in brackets.
inline void write_row(std::ostream& out, std::span<shunt::expert_id const> slots) {
  out << '[';
  for (std::size_t s = 0; s < slots.size(); ++s) out << (s == 0 ? "" : ", ") << slots[s];
  out << ']';
}

/// Writes a placement for a start on the ranks that have slots. `numbers` are those of the layers
/// in the model, ascending, one a layer of the plan.
/// sglang: a row for every layer from 0 to the last; slot k of a layer without experts holds k
/// modulo the experts, as SGLang has it of itself.
inline void write_start(std::ostream& out, std::string_view format,
                        shunt::expert_placement const& plan,
                        std::span<std::int64_t const> numbers) {
  if (format == "trtllm") {
    out << "num_slots: " << plan.slots() << "\ninitial_global_assignments:\n";
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(plan.layers)) {
      out << "  " << numbers[l.index()] << ": ";
      write_row(out, plan.layer(l));
      out << '\n';
    }
    out << "layer_updates_per_iter: 0\n";
    return;
  }
  std::vector<shunt::expert_id> trivial;
  for (std::int32_t s = 0; s < plan.slots(); ++s) trivial.emplace_back(s % plan.experts);
  bool const by_model = format == "sglang";
  out << (by_model ? "{\"physical_to_logical_map\": [\n" : "[\n");
  std::int64_t next = 0;
  for (shunt::layer_id l : shunt::ids<shunt::layer_id>(plan.layers)) {
    for (; by_model && next < numbers[l.index()]; ++next) {
      write_row(out, trivial);
      out << ",\n";
    }
    next = numbers[l.index()] + 1;
    write_row(out, plan.layer(l));
    out << (l.value() + 1 < plan.layers ? ",\n" : "\n");
  }
  out << (by_model ? "]}\n" : "]\n");
}

}  // namespace place_experts
