#pragma once
#include "shunt/execute/transport.hpp"

#include <string>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE peer_lost::peer_lost(rank_id peer)
    : std::runtime_error("rank " + std::to_string(peer.value()) + " is lost"), peer_(peer) {}

SHUNT_INLINE run_aborted::run_aborted()
    : std::runtime_error("the run was called off after a rank was lost") {}

}  // namespace shunt
