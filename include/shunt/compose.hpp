#pragma once
#include "shunt/compose/orders.hpp"
