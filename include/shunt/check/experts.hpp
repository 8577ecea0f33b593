#pragma once
/// The judges of everything about experts: placements, token splits, shard maps.
#include "shunt/check/layer_slots.hpp"
#include "shunt/check/placement.hpp"
#include "shunt/check/shard_map.hpp"
#include "shunt/check/token_quotas.hpp"
#include "shunt/check/token_split.hpp"
