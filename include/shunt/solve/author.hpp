#pragma once
/// For authors of solvers, beside `solver.hpp`: functions that turn a plan into a solution.
#include "shunt/solve/author/experts.hpp"
#include "shunt/solve/author/pipeline.hpp"
