#pragma once
#include "shunt/lower.hpp"
#include "shunt/measure.hpp"
#include "shunt/plan/placement.hpp"
