#pragma once
#include "shunt/launch/rendezvous_client.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/launch/detail/addresses.hpp"
#include "shunt/launch/detail/frames.hpp"
#include "shunt/launch/detail/sha256.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {
namespace detail {

/// Thrown where a connection is of no more use.
class connection_ended : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
[[nodiscard]] SHUNT_INLINE std::string message_of(int error) {
  return std::error_code(error, std::generic_category()).message();
}

/// Waits until a socket is ready. Throws connection_ended once the time is over.
SHUNT_INLINE void await(int socket, short events, std::chrono::steady_clock::time_point until) {
  for (;;) {
    auto const left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd one{socket, events, 0};
    int const ready =
        ::poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000)));
    if (ready > 0) return;
    if (ready == 0 && left.count() <= 3'600'000) throw connection_ended("no answer");
  }
}

SHUNT_INLINE void send_all(int socket, std::string_view bytes,
                           std::chrono::steady_clock::time_point until) {
  while (!bytes.empty()) {
    auto const sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno == EAGAIN)
      await(socket, POLLOUT, until);
    else if (errno != EINTR)
      throw connection_ended(message_of(errno));
  }
}

/// Returns the next frame. Throws connection_ended; runtime_error for what is none.
[[nodiscard]] SHUNT_INLINE std::vector<std::string> receive_frame(
    int socket, std::string& in, std::size_t most, std::chrono::steady_clock::time_point until) {
  for (;;) {
    if (auto fields = take_frame(in, most)) return std::move(*fields);
    await(socket, POLLIN, until);
    char bytes[1 << 16];
    auto const got = ::recv(socket, bytes, sizeof bytes, 0);
    if (got > 0)
      in.append(bytes, static_cast<std::size_t>(got));
    else if (got == 0)
      throw connection_ended("it closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
      throw connection_ended(message_of(errno));
  }
}

}  // namespace detail

SHUNT_INLINE rendezvous_client::rendezvous_client(config how) : how_(std::move(how)) {
  auto const until = clock::now() + how_.patience;
  for (std::string why; !(why = try_to_connect(until)).empty();) {
    if (clock::now() >= until)
      throw rendezvous_failed(address() + ": cannot be reached within " +
                              std::to_string(how_.patience.count()) + " ms: " + why);
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

SHUNT_INLINE rendezvous_client::~rendezvous_client() {
  if (socket_ >= 0) ::close(socket_);
}

/// Returns why there is no connection, which may pass; empty: there is one.
SHUNT_INLINE std::string rendezvous_client::try_to_connect(clock::time_point until) {
  std::string why;
  for (auto const& a : detail::addresses_of(how_.host, how_.port, why)) {
    if (socket_ >= 0) ::close(socket_);
    in_.clear();
    socket_ = ::socket(a.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return detail::message_of(errno);
    try {
      if (::connect(socket_, a.get(), a.length) != 0 && errno != EINPROGRESS)
        throw detail::connection_ended(detail::message_of(errno));
      detail::await(socket_, POLLOUT, until);
      int failed = 0, yes = 1;
      socklen_t size = sizeof failed;
      ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &failed, &size);
      if (failed != 0) throw detail::connection_ended(detail::message_of(failed));
      ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      auto const hello = detail::receive_frame(socket_, in_, 256, until);
      if (hello.size() != 2 || hello[0] != detail::rendezvous_greeting)
        throw std::runtime_error("another greeting");
      auto const nonce = detail::new_nonce();
      detail::send_all(
          socket_, detail::frame_of({nonce, detail::proof_of(how_.key, "client", hello[1], nonce)}),
          until);
      auto const answer = detail::receive_frame(socket_, in_, 256, until);
      if (answer.size() != 1 ||
          !detail::equal_in_constant_time(answer[0],
                                          detail::proof_of(how_.key, "server", hello[1], nonce)))
        throw invalid_problem("SHUNT_RENDEZVOUS_KEY", "is another one at " + address());
      return {};
    } catch (detail::connection_ended const& ended) {
      why = ended.what();
    } catch (std::runtime_error const&) {
      throw rendezvous_failed(address() + ": what listens there is no rendezvous of this library");
    }
  }
  return why;
}

SHUNT_INLINE std::string rendezvous_client::address() const {
  return how_.host + ":" + std::to_string(how_.port);
}

/// Returns the number and the text of the answer. Throws rendezvous_failed.
SHUNT_INLINE std::pair<int, std::string> rendezvous_client::ask(detail::file_operation what,
                                                                std::string const& path,
                                                                std::string_view more) const {
  std::lock_guard const lock(mutex_);
  if (!gone_.empty()) throw rendezvous_failed(gone_);
  try {
    char const operation = static_cast<char>(what);
    auto const until = clock::now() + how_.patience;
    detail::send_all(socket_, detail::frame_of({{&operation, 1}, path, more}), until);
    auto answer = detail::receive_frame(socket_, in_, detail::longest_frame, until);
    int number = 0;
    if (answer.size() != 2 ||
        std::from_chars(answer[0].data(), answer[0].data() + answer[0].size(), number).ec !=
            std::errc{})
      throw std::runtime_error("it says nonsense");
    return {number, std::move(answer[1])};
  } catch (std::runtime_error const& why) {
    gone_ = address() + ": the process that held the rendezvous has gone: " + why.what();
    throw rendezvous_failed(gone_);
  }
}

SHUNT_INLINE std::error_code rendezvous_client::change(detail::file_operation what,
                                                       std::string const& path,
                                                       std::string_view more) const {
  return {ask(what, path, more).first, std::generic_category()};
}

SHUNT_INLINE bool rendezvous_client::exists(std::string const& path) const {
  return ask(detail::file_operation::exists, path).first != 0;
}

SHUNT_INLINE std::optional<std::string> rendezvous_client::read(std::string const& path) const {
  auto [there, text] = ask(detail::file_operation::read, path);
  return there != 0 ? std::optional(std::move(text)) : std::nullopt;
}

SHUNT_INLINE std::error_code rendezvous_client::write(std::string const& path,
                                                      std::string const& text) const {
  return change(detail::file_operation::write, path, text);
}

SHUNT_INLINE std::error_code rendezvous_client::append(std::string const& path,
                                                       std::string const& text) const {
  return change(detail::file_operation::append, path, text);
}

SHUNT_INLINE std::error_code rendezvous_client::rename(std::string const& from,
                                                       std::string const& to) const {
  return change(detail::file_operation::rename, from, to);
}

SHUNT_INLINE std::error_code rendezvous_client::link(std::string const& from,
                                                     std::string const& to) const {
  return change(detail::file_operation::link, from, to);
}

SHUNT_INLINE std::error_code rendezvous_client::make_directory(std::string const& path) const {
  return change(detail::file_operation::make_directory, path);
}

SHUNT_INLINE void rendezvous_client::remove(std::string const& path) const {
  static_cast<void>(change(detail::file_operation::remove, path));
}

SHUNT_INLINE std::string rendezvous_client::own_directory(std::string const&) const { return {}; }

}  // namespace shunt
