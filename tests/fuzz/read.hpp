#pragma once
#include <istream>
#include <sstream>
#include <string>

#include "fuzz/bytes.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/failure_csv.hpp"
#include "shunt/io/layer_csv.hpp"
#include "shunt/io/load_series_csv.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/pytorch_csv.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/io/template_layer_csv.hpp"
#include "shunt/json/experts.hpp"
#include "shunt/json/layers.hpp"
#include "shunt/json/parts.hpp"
#include "shunt/json/physical_map.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/json/solution.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/load_series.hpp"

namespace shunt::tests::fuzz {

/// `read()` returns what was written, which no reader refuses.
template <class T, class Read>
void require_same(T const& value, Read const& read, std::string const& written) {
  try {
    require(read() == value, "reads as written", written);
  } catch (invalid_problem const& e) {
    require(false, e.what(), written);
  }
}

/// What was read is written and read again as the same value.
template <class T>
void json(std::string const& text) {
  std::istringstream in(text);
  auto const value = read_json<T>(in);
  auto const written = nlohmann::json(value).dump();
  std::istringstream again(written);
  require_same(value, [&] { return read_json<T>(again); }, written);
}

/// Reads a schedule. Where it is a plan that can be written, it is written for both releases of
/// PyTorch and read again as the same plan.
inline void pytorch(std::istream& in, pytorch_form form) {
  auto const plan = read_pytorch_csv(in, "t", form);
  if (!check(plan.job, plan.schedule).empty()) return;
  for (auto const release : {pytorch_release::v2_14, pytorch_release::v2_15}) {
    std::ostringstream written;
    try {
      write_pytorch_csv(written, plan.job, plan.schedule, times(plan.job, plan.schedule), 0,
                        release);
    } catch (invalid_problem const& e) {  // forwards of the last stage out of order
      require(e.field() == "plan", e.what(), written.str());
      return;
    }
    std::istringstream again(written.str());
    require_same(
        plan.schedule,
        [&] { return read_pytorch_csv(again, "t", pytorch_form::any, release).schedule; },
        written.str());
  }
}

/// The kinds of text that `read` knows, one a reader.
inline constexpr int kinds = 24;

/// Reads a text of this kind.
/// Throws invalid_problem where the reader refuses it.
inline void read(int kind, std::string const& text) {
  std::istringstream in(text);
  switch (kind) {
    case 0: {
      auto const table = read_csv(in, "t");
      std::ostringstream written;
      write_csv(written, table);
      std::istringstream again(written.str());
      require_same(table, [&] { return read_csv(again, "t"); }, written.str());
      break;
    }
    case 1: pytorch(in, pytorch_form::compute_only); break;
    case 2: pytorch(in, pytorch_form::with_comms); break;
    case 3: {
      auto const cell = parse_pytorch_cell(text, "t");
      auto const written = to_string(cell);
      require_same(cell, [&] { return parse_pytorch_cell(written, "t"); }, written);
      break;
    }
    case 4: json<pipeline_job>(text); break;
    case 5: json<pipeline_schedule>(text); break;
    case 6: json<timetable>(text); break;
    case 7: json<expert_layers>(text); break;
    case 8: json<expert_placement>(text); break;
    case 9: json<physical_map>(text); break;
    case 10: json<shard_map>(text); break;
    case 11: json<token_split>(text); break;
    case 12: json<layer_slots>(text); break;
    case 13: json<optimizer_state>(text); break;
    case 14: json<program>(text); break;
    case 15: (void)read_json<timeline>(in); break;
    case 16: json<solution<pipeline_schedule>>(text); break;
    case 17: validate(read_failure_csv(in, "t")); break;
    case 18: json<layer_job>(text); break;
    case 19: json<layer_partition>(text); break;
    case 20: {
      layer_job job{.layers = read_layer_csv(in, "t")};
      validate(job);
      break;
    }
    case 21: validate(read_load_series_csv(in, "t")); break;
    case 22: (void)read_template_layer_csv(in, "t"); break;
    default: validate(read_live_counts_csv(in, "t")); break;
  }
}

}  // namespace shunt::tests::fuzz
