#pragma once
#include <string>

namespace shunt::detail {

/// Returns a random address of this machine alone, 127.a.b.c. Gloo takes the first process that
/// connects for the peer. An address that stands in the directory of the rendezvous alone is not
/// found by a scanner of ports, nor by a process of another run whose address is stale.
[[nodiscard]] std::string loopback_address();

}  // namespace shunt::detail

#include "shunt/gloo/detail/loopback_address.ipp"
