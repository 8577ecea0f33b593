#pragma once
#include "shunt/io/read_pytorch_csv.hpp"

#include <fstream>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/io/detail/pytorch_table.hpp"
#include "shunt/io/detail/pytorch_transfers.hpp"

namespace shunt::detail {

// Returns the plan of a table whose actions are placed.
SHUNT_INLINE pytorch_plan plan_of(pytorch_table const& table) {
  pytorch_plan found{.job = {.pipelines = 1,
                             .stages = table.stages(),
                             .microbatches = table.microbatches(),
                             .layout = table.layout()},
                     .form = table.first_transfer() ? pytorch_form::with_comms
                                                    : pytorch_form::compute_only};
  if (table.first_wait())
    found.release = pytorch_release::v2_15;
  else if (table.first_transfer())
    found.release = pytorch_release::v2_14;
  bool pairs = false;
  for (auto const& row : table.rows()) {
    std::vector<operation> list;
    std::vector<std::int32_t> overlapped;
    for (auto const& e : row) {
      if (!e.action.computes()) continue;
      if (e.pair) overlapped.push_back(static_cast<std::int32_t>(list.size()));
      list.push_back({e.action.operation(), 0, e.action.stage, e.action.microbatch});
    }
    for (stage_id s : ids<stage_id>(table.stages()))
      if (table.row_of(s).value() == static_cast<std::int32_t>(found.schedule.order.size()))
        list.push_back({.kind = op_kind::step, .stage = s});
    pairs = pairs || !overlapped.empty();
    found.schedule.order.push_back(std::move(list));
    found.schedule.overlapped.push_back(std::move(overlapped));
  }
  if (!pairs) found.schedule.overlapped = {};
  return found;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE pytorch_plan read_pytorch_csv(std::istream& in, std::string const& name,
                                           pytorch_form wanted,
                                           std::optional<pytorch_release> release) {
  detail::pytorch_table table(in, name);
  auto const& comms = table.first_transfer();
  if (wanted == pytorch_form::compute_only && table.first_other())
    table.refuse(*table.first_other(), "is no computation, and the file should have nothing else");
  if (wanted == pytorch_form::with_comms && !comms && table.rows().size() > 1)
    throw invalid_problem(name, "has no sends and receives");
  if (comms && table.first_idle())
    throw invalid_problem(table.at(*table.first_idle()),
                          "is empty, which torch refuses in a schedule with comms");
  if (release == pytorch_release::v2_14 && table.first_wait())
    table.refuse(*table.first_wait(), "is no action of torch 2.14");
  table.place_actions();
  detail::pytorch_transfers transfers(table);
  if (table.first_wait() || (comms && release == pytorch_release::v2_15)) transfers.check_waits();
  if (comms) transfers.check();
  return detail::plan_of(table);
}

SHUNT_INLINE pytorch_plan read_pytorch_csv_file(std::string const& path, pytorch_form wanted,
                                                std::optional<pytorch_release> release) {
  auto in = open_text(path);
  return read_pytorch_csv(in, path, wanted, release);
}

}  // namespace shunt
