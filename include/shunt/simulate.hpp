#pragma once
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/simulated_executor.hpp"
#include "shunt/simulate/slow_workers.hpp"
