#pragma once
#include "shunt/plan/expert_hosts.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/pipeline_actions.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/shard_recovery.hpp"
#include "shunt/plan/token_split.hpp"
