#pragma once
#include "shunt/launch/detail/addresses.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

SHUNT_INLINE std::uint16_t socket_address::port() const {
  if (family() == AF_INET6)
    return ntohs(reinterpret_cast<sockaddr_in6 const*>(&storage)->sin6_port);
  return ntohs(reinterpret_cast<sockaddr_in const*>(&storage)->sin_port);
}

SHUNT_INLINE void socket_address::widen() {
  if (family() == AF_INET6)
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr = in6addr_any;
  else
    reinterpret_cast<sockaddr_in*>(&storage)->sin_addr.s_addr = htonl(INADDR_ANY);
}

SHUNT_INLINE std::vector<socket_address> addresses_of(std::string const& host, std::uint16_t port,
                                                      std::string& why) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int const failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  std::vector<socket_address> all;
  if (failed != 0) {
    why = ::gai_strerror(failed);
    return all;
  }
  for (auto const* a = found; a != nullptr; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    auto& one = all.emplace_back();
    std::memcpy(&one.storage, a->ai_addr, a->ai_addrlen);
    one.length = a->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return all;
}

}  // namespace shunt::detail
