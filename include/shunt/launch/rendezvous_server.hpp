#pragma once
/// Shared files in the memory of one process, behind a TCP port: where processes meet that share no
/// directory. The other end is rendezvous_client.hpp.
///
/// Each connection begins with a challenge: both ends show that they have the key, and neither
/// sends it. A stranger is shut out and costs the members nothing, whether it says nonsense, half a
/// line, or nothing. The key keeps out those who can reach the port. It does not hide what members
/// say from those who can read the network, nor keep them from changing it; and a key that can be
/// guessed can be guessed from a recorded challenge, so it should be random, 16 bytes or more.
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "shunt/launch/detail/addresses.hpp"

namespace shunt {

/// Serves from its constructor to its destructor, on a thread of its own.
class rendezvous_server {
 public:
  struct config {
    std::string host = "127.0.0.1";  ///< where clients look for it; unless that is this machine
                                     ///< alone, it listens on all interfaces
    std::uint16_t port = 0;          ///< 0: any that is free
    std::string key{};               ///< empty: all that reach the port may join
    std::chrono::milliseconds challenge{5'000};  ///< time for a connection to show that it may
  };

  /// Throws system_error where it cannot listen there: the port is in use, or there is no such
  /// host.
  explicit rendezvous_server(config how);
  rendezvous_server(rendezvous_server const&) = delete;
  rendezvous_server& operator=(rendezvous_server const&) = delete;
  ~rendezvous_server();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Returns how many clients are connected and have shown that they may.
  [[nodiscard]] std::size_t members() const;
  /// Waits until no member is connected, for `at_most`: the last ones still read what was decided.
  void wait_until_left(std::chrono::milliseconds at_most) const;

 private:
  struct connection {
    int socket = -1;
    bool member = false, refused = false;
    std::chrono::steady_clock::time_point since{};
    std::string nonce{}, in{}, out{};
  };
  struct node {
    bool directory = false;
    std::string text{};
  };

  [[nodiscard]] int listen_at(detail::socket_address address);
  void serve();
  void accept_all();
  [[nodiscard]] bool go_on(connection& c);
  void answer(connection& c, std::vector<std::string> const& fields);
  void count_members();

  config const how_;
  std::uint16_t port_ = 0;
  int listening_ = -1, wake_[2]{-1, -1};
  std::list<connection> connections_{};  // of the thread alone, as are the files
  std::map<std::string, node> files_{};
  bool crowded_ = false;  // no more connections can be accepted for now

  std::mutex mutable mutex_{};
  std::condition_variable mutable left_{};
  std::size_t members_ = 0;
  std::thread thread_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/rendezvous_server.ipp"
#endif
