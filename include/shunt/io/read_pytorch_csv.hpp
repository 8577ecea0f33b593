#pragma once
/// Reads what write_pytorch_csv writes, and what torch.distributed.pipelining dumps, as a job and
/// its plan.
///
/// The rows determine the layout (linear, looped, wave or custom), the largest numbers the stages
/// and micro-batches. Every stage has one row, every micro-batch a forward and a fused or split
/// backward there. Transfers are all there or none: each send after its producer, each receive
/// before its consumer, in one order between two ranks, without deadlock. Waits, too, are all there
/// (the form of PyTorch 2.15) or none (of 2.14). `check` judges the rest.
/// Skipped: UNSHARD, RESHARD, REDUCE_GRAD after the last backward of its stage, and empty (idle)
/// cells where there are no transfers; with transfers torch refuses them, and so does this.
/// Complexity: O(n log n) for n actions.
#include <cstdint>
#include <istream>
#include <optional>
#include <string>

#include "shunt/io/pytorch_action.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Form of a file: computations only, or with transfers.
enum class pytorch_form : std::uint8_t { any, compute_only, with_comms };

/// A job of one pipeline with unit costs, and its plan. The list of a rank ends with a step of each
/// of its stages.
struct pytorch_plan {
  pipeline_job job{};
  pipeline_schedule schedule{};
  pytorch_form form = pytorch_form::compute_only;
  /// The release that takes the file. Nothing: without transfers and waits it suits any.
  std::optional<pytorch_release> release{};
};

/// Reads a schedule of the `wanted` form. `release`: for this one. Nothing: for either.
/// Throws invalid_problem, which names `name`, row and column (from 1) and the text: for an unknown
/// action, text behind an action, an operation without a micro-batch, a missing micro-batch, a
/// stage on two rows, a row that computes nothing, a transfer that is missing, duplicate, misplaced
/// or in another order than at the other end, a wait that is missing or misplaced, ranks that wait
/// for each other, another form or release.
[[nodiscard]] pytorch_plan read_pytorch_csv(std::istream& in, std::string const& name,
                                            pytorch_form wanted = pytorch_form::any,
                                            std::optional<pytorch_release> release = {});

/// Reads a file like read_pytorch_csv.
/// Throws invalid_problem also where the file cannot be opened or read.
[[nodiscard]] pytorch_plan read_pytorch_csv_file(std::string const& path,
                                                 pytorch_form wanted = pytorch_form::any,
                                                 std::optional<pytorch_release> release = {});

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/read_pytorch_csv.ipp"
#endif
