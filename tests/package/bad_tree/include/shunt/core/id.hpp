#pragma once
#include <compare>
// #include "shunt/plan/placement.hpp" in a comment is no include
#include "shunt/plan/placement.hpp"
