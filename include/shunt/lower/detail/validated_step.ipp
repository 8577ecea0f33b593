#pragma once
#include "shunt/lower/detail/validated_step.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/operands.hpp"

namespace shunt::detail {

SHUNT_INLINE region validated_step::norms_of_record() const {
  return {record.buffer, record.offset, gradient_norms::bytes};
}

SHUNT_INLINE std::vector<validated_step> steps_of(rank_program const& own, rank_id r) {
  std::vector<validated_step> all;
  auto const refuse = [&](std::int32_t n, char const* why) {
    throw invalid_program("rank " + std::to_string(r.value()) + ", instruction " +
                          std::to_string(n) + ": the step " + why);
  };
  for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size()); ++n) {
    auto const& i = own.instructions[static_cast<std::size_t>(n)];
    if (i.code != opcode::compute || i.op.kind != op_kind::step) continue;
    if (own.reads(i).size() != step_operands{}.reads().size() || own.writes(i).empty())
      refuse(n, "doesn't read gradient, flag and state");
    auto const on = step_operands::of(own.reads(i), own.writes(i));
    validated_step s{.stage = i.op.stage, .step = n};
    s.gradient = on.gradient;
    s.flag = on.flag;
    s.state = on.state;
    for (std::int32_t k = n - 1; k >= 0 && s.keep < 0; --k)
      if (auto const& c = own.instructions[static_cast<std::size_t>(k)];
          c.code == opcode::copy && own.reads(c)[0] == s.state) {
        s.keep = k;
        s.kept = own.writes(c)[0];
      }
    if (s.keep < 0) refuse(n, "has no copy of its state to go back to");
    all.push_back(s);
  }
  std::sort(all.begin(), all.end(), [](auto const& a, auto const& b) { return a.stage < b.stage; });
  return all;
}

}  // namespace shunt::detail
