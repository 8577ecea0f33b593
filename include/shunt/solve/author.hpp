#pragma once
/// What authors of solvers need beside `solver.hpp`: a plan becomes a solution.
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/author/pipeline.hpp"
#include "shunt/solve/author/run_list.hpp"
