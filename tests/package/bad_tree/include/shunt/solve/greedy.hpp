#pragma once
#include "shunt/lower.hpp"
#include "shunt/measure.hpp"
#include "shunt/plan/placement.hpp"

// std::list in a comment needs no header, and <vector> comes with the placement.
inline std::vector<int> with_header;
inline std::string without_header;
inline std::unheard_of without_row;
