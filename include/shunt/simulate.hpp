#pragma once
#include "shunt/simulate/cost_model.hpp"
#include "shunt/simulate/lanes.hpp"
#include "shunt/simulate/no_work.hpp"
#include "shunt/simulate/simulated_executor.hpp"
