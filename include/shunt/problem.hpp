#pragma once
#include "shunt/problem/cluster.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/routed_tokens.hpp"
#include "shunt/problem/stage_costs.hpp"
#include "shunt/problem/stage_layout.hpp"
