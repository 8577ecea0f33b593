#pragma once
#include "shunt/io/start_placement.hpp"

#include <cstddef>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

namespace detail {

/// The slots of a layer in brackets.
SHUNT_INLINE void write_row(std::ostream& out, std::span<expert_id const> slots) {
  out << '[';
  for (std::size_t s = 0; s < slots.size(); ++s) out << (s == 0 ? "" : ", ") << slots[s];
  out << ']';
}

}  // namespace detail

SHUNT_INLINE void write_start_placement(std::ostream& out, start_format format,
                                        expert_placement const& plan,
                                        std::span<std::int64_t const> numbers) {
  if (format == start_format::trtllm) {
    out << "num_slots: " << plan.slots() << "\ninitial_global_assignments:\n";
    for (layer_id l : ids<layer_id>(plan.layers)) {
      out << "  " << numbers[l.index()] << ": ";
      detail::write_row(out, plan.layer(l));
      out << '\n';
    }
    out << "layer_updates_per_iter: 0\n";
    return;
  }
  std::vector<expert_id> trivial;
  for (std::int32_t s = 0; s < plan.slots(); ++s) trivial.emplace_back(s % plan.experts);
  bool const by_model = format == start_format::sglang;
  out << (by_model ? "{\"physical_to_logical_map\": [\n" : "[\n");
  std::int64_t next = 0;
  for (layer_id l : ids<layer_id>(plan.layers)) {
    for (; by_model && next < numbers[l.index()]; ++next) {
      detail::write_row(out, trivial);
      out << ",\n";
    }
    next = numbers[l.index()] + 1;
    detail::write_row(out, plan.layer(l));
    out << (l.value() + 1 < plan.layers ? ",\n" : "\n");
  }
  out << (by_model ? "]}\n" : "]\n");
}

}  // namespace shunt
