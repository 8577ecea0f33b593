#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

namespace shunt::detail {

/// An address of TCP, IPv4 or IPv6.
struct socket_address {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] sockaddr const* get() const { return reinterpret_cast<sockaddr const*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] std::uint16_t port() const;
  /// Makes it that of all interfaces.
  void widen();
};

/// Returns the addresses of a host, best first; none where there is no such host, and `why`.
[[nodiscard]] std::vector<socket_address> addresses_of(std::string const& host, std::uint16_t port,
                                                       std::string& why);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/launch/detail/addresses.ipp"
#endif
