#pragma once
#include "shunt/measure.hpp"
#include "shunt/plan/placement.hpp"
#include "shunt/lower.hpp"
