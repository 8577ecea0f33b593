#pragma once
#include "shunt/compose/building_block.hpp"
#include "shunt/compose/from_block.hpp"
#include "shunt/compose/orders.hpp"
#include "shunt/compose/packed_block.hpp"
