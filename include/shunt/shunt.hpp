#pragma once
/// Everything that plans and runs on the host and needs nothing but a C++20 compiler. Training runs
/// are in shunt/train.hpp, what kernels compute in shunt/device.hpp.
#include "shunt/check.hpp"
#include "shunt/core.hpp"
#include "shunt/execute.hpp"
#include "shunt/io.hpp"
#include "shunt/lower.hpp"
#include "shunt/measure.hpp"
#include "shunt/plan.hpp"
#include "shunt/problem.hpp"
#include "shunt/program.hpp"
#include "shunt/simulate.hpp"
#include "shunt/solve.hpp"
#include "shunt/version.hpp"
