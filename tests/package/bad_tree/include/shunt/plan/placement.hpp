#pragma once
int first[] = {0};

#include "shunt/core/id.hpp"
#include <range/v3/all.hpp>
#include <vector>
