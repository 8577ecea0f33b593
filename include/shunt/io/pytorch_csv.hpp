#pragma once
/// Writes schedules in the CSV of torch.distributed.pipelining: one row a rank, in the order of its
/// list.
///
///     compute only    0F0,0F1,0I0,0W0, ...                  torch adds the transfers on loading
///     with comms      0F0,0SEND_F0,1RECV_F0, ...,0REDUCE_GRAD      taken as it stands, by one
///                     release: since 2.15 with WAIT_SEND_F, WAIT_SEND_B and WAIT_REDUCE_GRAD
///
/// A CSV has no step, pipelines, re-routing or times. See docs/pytorch.md.
/// Complexity: O(n log n) for n operations.
/// Reference: PyTorch 2.14 and 2.15, torch/distributed/pipelining/schedules.py, _load_csv and
/// _dump_csv.
#include <ostream>

#include "shunt/core/id.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Writes one pipeline of a plan that passes `check`, compute only. Its ranks, ascending, are the
/// rows. Steps are left out.
/// Throws invalid_problem, which names the field, for what a CSV cannot express: dead ranks,
/// re-routed micro-batches, ranks with stages of two pipelines (bidirectional layouts), forwards of
/// the last stage out of order (torch would take the loss of another micro-batch).
void write_pytorch_csv(std::ostream& out, pipeline_job const& job, pipeline_schedule const& plan,
                       pipeline_id pipeline = 0);

/// Writes the form with comms. `table` has the times of the plan (`times(job, plan)`), which order
/// the transfers.
/// All ranks have the transfers in one order, by the time at which their contents are ready. They
/// cannot deadlock, even where each rank has a single stream and a send waits for its receive, and
/// they suit transports without tags (NCCL). A receive is posted with its send, never earlier.
/// REDUCE_GRAD follows the last backward of a stage; without it torch neither scales nor reduces
/// the gradient.
/// Where `release` knows waits, they stand where PyTorch's own lowering has them: for a forward's
/// send behind the backward of its micro-batch, for a backward's at the end of the row, for a
/// reduction right behind it. There the other end has passed its receive, or nothing else is left.
/// Throws invalid_problem as above, and where `table` is not the plan's.
void write_pytorch_csv(std::ostream& out, pipeline_job const& job, pipeline_schedule const& plan,
                       timetable const& table, pipeline_id pipeline = 0,
                       pytorch_release release = pytorch_release::v2_15);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/pytorch_csv.ipp"
#endif
