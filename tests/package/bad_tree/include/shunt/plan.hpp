#pragma once
#include "shunt/plan/placement.hpp"
#include "shunt/solve/greedy.hpp"
