#pragma once
#include <string>

namespace shunt::detail {

/// Returns a random address of this machine alone, 127.a.b.c. Gloo takes whoever connects first for
/// the peer. An address that stands nowhere but in the directory of the rendezvous is found by
/// nobody else: no scanner of ports, and no process of another run with an address that is stale.
[[nodiscard]] std::string loopback_address();

}  // namespace shunt::detail

#include "shunt/gloo/detail/loopback_address.ipp"
