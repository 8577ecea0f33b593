#pragma once
#include "shunt/json/experts.hpp"
#include "shunt/json/physical_map.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/json/report.hpp"
#include "shunt/json/solution.hpp"
