#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "shunt/launch/detail/frames.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// The shared files of a rendezvous_server. Names are any texts; directories need not be made. Each
/// call is one message and its answer, so n members that look for each other ask n*n times a look.
/// A process that was forked must connect anew.
class rendezvous_client final : public shared_files {
 public:
  struct config {
    std::string host{};
    std::uint16_t port = 0;
    std::string key{};                           ///< that of the server
    std::chrono::milliseconds patience{30'000};  ///< for the server to be there, and for an answer
  };

  /// Connects, and shows that it has the key.
  /// Throws rendezvous_failed where the server cannot be reached within `patience`, or is none;
  /// invalid_problem, which names SHUNT_RENDEZVOUS_KEY, where it has another key.
  explicit rendezvous_client(config how);
  ~rendezvous_client() override;

  /// Returns host and port.
  [[nodiscard]] std::string address() const;

  [[nodiscard]] bool exists(std::string const& path) const override;
  [[nodiscard]] std::optional<std::string> read(std::string const& path) const override;
  [[nodiscard]] std::error_code write(std::string const& path,
                                      std::string const& text) const override;
  [[nodiscard]] std::error_code append(std::string const& path,
                                       std::string const& text) const override;
  [[nodiscard]] std::error_code rename(std::string const& from,
                                       std::string const& to) const override;
  [[nodiscard]] std::error_code link(std::string const& from, std::string const& to) const override;
  [[nodiscard]] std::error_code make_directory(std::string const& path) const override;
  void remove(std::string const& path) const override;
  [[nodiscard]] std::string own_directory(std::string const& path) const override;

 private:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] std::string try_to_connect(clock::time_point until);
  [[nodiscard]] std::pair<int, std::string> ask(detail::file_operation what,
                                                std::string const& path,
                                                std::string_view more = {}) const;
  [[nodiscard]] std::error_code change(detail::file_operation what, std::string const& path,
                                       std::string_view more = {}) const;

  config const how_;
  std::mutex mutable mutex_{};
  int mutable socket_ = -1;
  std::string mutable in_{}, gone_{};  // gone_: why no call can succeed any more
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/rendezvous_client.ipp"
#endif
