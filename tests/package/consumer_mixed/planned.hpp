#pragma once
#include <shunt/plan.hpp>
#include <shunt/problem.hpp>

/// The schedule of `slipstream`, computed in header-only mode.
shunt::pipeline_schedule planned(shunt::pipeline_job const& job);
