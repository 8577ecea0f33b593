#pragma once
#include "shunt/io/chart.hpp"
#include "shunt/io/chrome_trace.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/heat_map.hpp"
#include "shunt/io/svg.hpp"
#include "shunt/io/text_grid.hpp"
