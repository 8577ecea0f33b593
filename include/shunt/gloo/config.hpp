#pragma once
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// A network that could not be made: the directory can't be used, somebody did not come, or no
/// connection was possible.
class rendezvous_failed : public std::runtime_error {
 public:
  explicit rendezvous_failed(std::string const& why, std::vector<rank_id> absent = {},
                             bool unconnected = false)
      : std::runtime_error(why), absent_(std::move(absent)), unconnected_(unconnected) {}
  [[nodiscard]] std::vector<rank_id> const& absent() const noexcept {
    return absent_;
  }  ///< who did not come in time
  [[nodiscard]] bool unconnected() const noexcept {
    return unconnected_;
  }  ///< all came, and not all connections could be made

 private:
  std::vector<rank_id> absent_;
  bool unconnected_;
};

struct gloo_config {
  std::string
      directory{};  ///< where the processes meet; shared by all, writable, of this run alone
  std::string interface{};                  ///< network interface to listen on; empty: by host name
  std::string hostname = "127.0.0.1";       ///< address to listen on, where no interface is named
  std::chrono::milliseconds silence{1000};  ///< without a heartbeat for so long a peer is lost
  std::chrono::milliseconds patience{10'000};  ///< for all members to come, and to connect
};

}  // namespace shunt
