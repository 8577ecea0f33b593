#pragma once
#include "shunt/io/pytorch_csv.hpp"

#include "shunt/core/config.hpp"
#include "shunt/io/detail/pytorch_rows.hpp"

namespace shunt {

SHUNT_INLINE void write_pytorch_csv(std::ostream& out, pipeline_job const& job,
                                    pipeline_schedule const& plan, pipeline_id pipeline) {
  detail::pytorch_rows(job, plan, detail::pytorch_ranks(job, plan, pipeline)).write(out);
}

SHUNT_INLINE void write_pytorch_csv(std::ostream& out, pipeline_job const& job,
                                    pipeline_schedule const& plan, timetable const& table,
                                    pipeline_id pipeline, pytorch_release release) {
  detail::pytorch_rows rows(job, plan, detail::pytorch_ranks(job, plan, pipeline));
  rows.add_transfers(table, pipeline);
  if (release == pytorch_release::v2_15) rows.add_waits(pipeline);
  rows.write(out);
}

}  // namespace shunt
