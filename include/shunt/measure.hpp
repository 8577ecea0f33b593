#pragma once
#include "shunt/measure/imbalance.hpp"
#include "shunt/measure/moved_bytes.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/pipeline.hpp"
#include "shunt/measure/pipeline_bounds.hpp"
#include "shunt/measure/times.hpp"
#include "shunt/measure/traffic.hpp"
