#pragma once
#include "shunt/compose/building_block.hpp"
#include "shunt/compose/orders.hpp"
