#pragma once
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// Thrown where a network cannot be made: the directory cannot be used, a member did not come, or a
/// connection could not be made.
class rendezvous_failed : public std::runtime_error {
 public:
  explicit rendezvous_failed(std::string const& why, std::vector<rank_id> absent = {},
                             bool unconnected = false)
      : std::runtime_error(why), absent_(std::move(absent)), unconnected_(unconnected) {}
  /// Returns the ranks that did not come in time.
  [[nodiscard]] std::vector<rank_id> const& absent() const noexcept { return absent_; }
  /// Returns whether all came, and not all connections could be made.
  [[nodiscard]] bool unconnected() const noexcept { return unconnected_; }

 private:
  std::vector<rank_id> absent_;
  bool unconnected_;
};

/// How processes find each other, and when a peer is lost.
struct gloo_config {
  std::string directory{};  ///< of the rendezvous: shared by all, for this run and its user alone
  std::string interface{};  ///< network interface to listen on; empty: by host name
  std::string hostname = "127.0.0.1";       ///< address to listen on where no interface is named;
                                            ///< this one: a random address of 127.0.0.0/8
  std::chrono::milliseconds silence{1000};  ///< a peer without a heartbeat for so long is lost
  std::chrono::milliseconds patience{10'000};  ///< for all members to come, and to connect
};

}  // namespace shunt
