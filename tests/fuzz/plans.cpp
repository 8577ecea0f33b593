// Any job with any schedule: the judge and the library agree on whether they belong together, and
// what the judge accepts is lowered to a sound program.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "bytes.hpp"
#include "problems.hpp"
#include "shunt/check/pipeline.hpp"
#include "shunt/check/pipeline_violation.hpp"
#include "shunt/check/program.hpp"
#include "shunt/core/error.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/plan/mismatch.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/pipeline/gpipe.hpp"
#include "shunt/solve/pipeline/slipstream.hpp"

namespace {

using namespace shunt;
using tests::fuzz::require;

void run(tests::fuzz::bytes& in) {
  auto const job = tests::fuzz::any_job(in);
  validate(job);
  auto plan = in.flip() ? slipstream{.effort = 300}(job).plan : gpipe{}.order(job);
  tests::fuzz::change(in, plan);
  plan.staggered_step = in.flip();
  message_layout const layout{static_cast<message_lanes>(in.roll(0, 2)), in.roll(0, 2)};

  auto const violations = check(job, plan);
  auto const wrong = mismatch(job, plan);
  auto const other_kind = [](pipeline_violation const& v) {
    return v.rule == pipeline_rule::memory || v.rule == pipeline_rule::cycle;
  };
  require(wrong.empty() == std::all_of(violations.begin(), violations.end(), other_kind),
          "mismatch agrees with the judge",
          !wrong.empty()       ? std::string(wrong)
          : violations.empty() ? ""
                               : to_string(violations.front()));
  auto const answer = evaluated(job, plan);
  require(!answer.has_plan() || answer.objective >= answer.lower_bound, "no plan beats its bound");
  if (violations.empty()) {
    require(answer.has_plan(), "what the judge accepts is a plan", std::string(answer.reason));
    auto const p = lower(job, plan, {}, layout);
    require_runnable(p);
    auto const broken = check(p);
    require(broken.empty(), "a plan has a sound program",
            broken.empty() ? "" : to_string(broken.front()));
    return;
  }
  try {
    (void)lower(job, plan, {}, layout);
    (void)makespan(job, plan);
    (void)period(job, plan);
  } catch (invalid_program const&) {
  } catch (std::invalid_argument const&) {}
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return tests::fuzz::one_input(data, size, run);
}
