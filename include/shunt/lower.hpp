#pragma once
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/lower/gradient_collection.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/lower/pipeline_buffers.hpp"
#include "shunt/lower/pipeline_join.hpp"
#include "shunt/lower/weight_scatter.hpp"
