#pragma once
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/pytorch_csv.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::tests {

inline std::string refusal_or_nothing(std::function<void()> const& what) {
  try {
    what();
    return "";
  } catch (invalid_problem const& error) {
    return error.what();
  }
}

inline pytorch_plan read_pytorch(std::string const& text, pytorch_form wanted = pytorch_form::any,
                                 std::optional<pytorch_release> release = {}) {
  std::istringstream in(text);
  return read_pytorch_csv(in, "x.csv", wanted, release);
}

inline std::string refused_pytorch(std::string const& text, pytorch_form wanted = pytorch_form::any,
                                   std::optional<pytorch_release> release = {}) {
  return refusal_or_nothing([&] { static_cast<void>(read_pytorch(text, wanted, release)); });
}

inline std::string compute_only(pipeline_job const& job, pipeline_schedule const& plan,
                                pipeline_id p = 0) {
  std::ostringstream out;
  write_pytorch_csv(out, job, plan, p);
  return out.str();
}

inline std::string with_comms(pipeline_job const& job, pipeline_schedule const& plan,
                              pipeline_id p = 0, pytorch_release release = pytorch_release::v2_15) {
  std::ostringstream out;
  write_pytorch_csv(out, job, plan, times(job, plan), p, release);
  return out.str();
}

/// Ranks that run their lists with one stream each, where a send and its receive wait for each
/// other: true where all come to the end.
inline bool ends_under_rendezvous(std::string const& csv) {
  std::vector<std::vector<pytorch_action>> rows;
  std::istringstream in(csv);
  for (std::string line; std::getline(in, line);) {
    auto& row = rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) {
      auto const c = parse_pytorch_cell(cell, "test");
      if (c.first.sends() || c.first.receives()) row.push_back(c.first);
    }
  }
  auto const partner = [](pytorch_action a) {
    using kind = pytorch_action::kind;
    if (a.what == kind::send_f)
      return pytorch_action{kind::recv_f, a.stage.value() + 1, a.microbatch};
    return pytorch_action{kind::recv_b, a.stage.value() - 1, a.microbatch};
  };
  std::vector<std::size_t> next(rows.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t a = 0; a < rows.size(); ++a)
      for (std::size_t b = 0; b < rows.size(); ++b)
        if (a != b && next[a] < rows[a].size() && next[b] < rows[b].size() &&
            rows[a][next[a]].sends() && rows[b][next[b]] == partner(rows[a][next[a]])) {
          ++next[a], ++next[b];
          moved = true;
        }
  }
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (next[r] < rows[r].size()) return false;
  return true;
}

inline void expect_round_trip(pipeline_job const& job, pipeline_schedule const& plan,
                              std::string const& what) {
  ASSERT_TRUE(check(job, plan).empty()) << what;
  using release = std::optional<pytorch_release>;
  for (auto const& of :
       {release{}, release(pytorch_release::v2_14), release(pytorch_release::v2_15)}) {
    bool const comms = of.has_value();
    auto const text = comms ? with_comms(job, plan, 0, *of) : compute_only(job, plan);
    auto const back =
        read_pytorch(text, comms ? pytorch_form::with_comms : pytorch_form::compute_only, of);
    EXPECT_EQ(back.release.value_or(of.value_or(pytorch_release::v2_15)),
              of.value_or(pytorch_release::v2_15))
        << what;  // a plan without transfers has none
    EXPECT_EQ(back.job.stages, job.stages) << what;
    EXPECT_EQ(back.job.microbatches, job.microbatches) << what;
    EXPECT_EQ(back.job.layout, job.layout) << what;
    EXPECT_EQ(back.form, comms ? pytorch_form::with_comms : pytorch_form::compute_only) << what;
    EXPECT_EQ(back.schedule, plan) << what << "\n" << text;
    EXPECT_TRUE(check(back.job, back.schedule).empty()) << what;
    if (comms) {
      EXPECT_TRUE(ends_under_rendezvous(text)) << what << "\n" << text;
    } else {
      EXPECT_EQ(compute_only(back.job, back.schedule), text) << what;
    }
  }
}

}  // namespace shunt::tests
