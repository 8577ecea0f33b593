#pragma once
#include "shunt/launch/rendezvous_server.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/launch/detail/addresses.hpp"
#include "shunt/launch/detail/frames.hpp"
#include "shunt/launch/detail/sha256.hpp"

namespace shunt {

SHUNT_INLINE rendezvous_server::rendezvous_server(config how) : how_(std::move(how)) {
  auto const fail = [&](int why) {
    for (int const file : {listening_, wake_[0], wake_[1]})
      if (file >= 0) ::close(file);
    throw std::system_error(why, std::generic_category(),
                            "cannot listen at " + how_.host + ":" + std::to_string(how_.port));
  };
  std::string unknown;
  auto addresses = detail::addresses_of(how_.host, how_.port, unknown);
  int failed = EADDRNOTAVAIL;
  bool const local =
      how_.host == "localhost" || how_.host.starts_with("127.") || how_.host == "::1";
  for (auto& address : addresses) {
    if (!local) address.widen();
    failed = listen_at(address);
    if (failed == 0 || failed == EADDRINUSE) break;
  }
  if (failed == 0 && ::pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0) failed = errno;
  if (failed != 0) fail(failed);

  // Signals are for the threads of the program.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { serve(); });
  } catch (std::system_error const& error) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    fail(error.code().value());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// Returns 0, or the errno.
SHUNT_INLINE int rendezvous_server::listen_at(detail::socket_address address) {
  if (listening_ >= 0) ::close(listening_);
  listening_ = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listening_ < 0) return errno;
  int const yes = 1;
  ::setsockopt(listening_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(listening_, address.get(), address.length) != 0 || ::listen(listening_, 1024) != 0 ||
      ::getsockname(listening_, address.get(), &address.length) != 0)
    return errno;
  port_ = address.port();
  return 0;
}

SHUNT_INLINE rendezvous_server::~rendezvous_server() {
  while (::write(wake_[1], "", 1) < 0 && errno == EINTR) {}
  thread_.join();
  for (auto const& c : connections_) ::close(c.socket);
  for (int const file : {listening_, wake_[0], wake_[1]}) ::close(file);
}

SHUNT_INLINE std::size_t rendezvous_server::members() const {
  std::lock_guard const lock(mutex_);
  return members_;
}

SHUNT_INLINE void rendezvous_server::wait_until_left(std::chrono::milliseconds at_most) const {
  std::unique_lock lock(mutex_);
  left_.wait_for(lock, at_most, [&] { return members_ == 0; });
}

SHUNT_INLINE void rendezvous_server::count_members() {
  auto const now = static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(), [](auto& c) { return c.member; }));
  std::lock_guard const lock(mutex_);
  members_ = now;
  if (members_ == 0) left_.notify_all();
}

/// Thread body.
SHUNT_INLINE void rendezvous_server::serve() {
  using clock = std::chrono::steady_clock;
  for (std::vector<pollfd> waiting;;) {
    waiting.assign({{wake_[0], POLLIN, 0}, {crowded_ ? -1 : listening_, POLLIN, 0}});
    int timeout = crowded_ ? 100 : -1;
    for (auto const& c : connections_) {
      // A member that does not read its answer is not asked for more.
      waiting.push_back({c.socket, static_cast<short>(c.out.empty() ? POLLIN : POLLOUT), 0});
      if (c.member) continue;
      auto const left =
          std::chrono::ceil<std::chrono::milliseconds>(c.since + how_.challenge - clock::now());
      auto const wait = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
      timeout = timeout < 0 ? wait : std::min(timeout, wait);
    }
    ::poll(waiting.data(), waiting.size(), timeout);
    if (waiting[0].revents != 0) return;
    crowded_ = false;
    std::size_t n = 2;
    for (auto at = connections_.begin(); at != connections_.end(); ++n) {
      bool alive = at->member || clock::now() < at->since + how_.challenge;
      if (alive && waiting[n].revents != 0) try {
          alive = go_on(*at);
        } catch (std::exception const&) {  // no frames, or no memory for them
          alive = false;
        }
      if (!alive) ::close(at->socket);
      at = alive ? std::next(at) : connections_.erase(at);
    }
    if (waiting[1].revents != 0) accept_all();
    count_members();
  }
}

SHUNT_INLINE void rendezvous_server::accept_all() {
  constexpr std::ptrdiff_t most_strangers = 64;
  for (;;) {
    int const socket = ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
      crowded_ = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return;
    }
    int const yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    auto& c = connections_.emplace_back();
    c.socket = socket;
    c.since = std::chrono::steady_clock::now();
    c.nonce = detail::new_nonce();
    c.out = detail::frame_of({detail::rendezvous_greeting, c.nonce});
    auto const is_stranger = [](connection const& one) { return !one.member; };
    if (std::count_if(connections_.begin(), connections_.end(), is_stranger) <= most_strangers)
      continue;
    auto const oldest = std::find_if(connections_.begin(), connections_.end(), is_stranger);
    ::close(oldest->socket);
    connections_.erase(oldest);
  }
}

/// Reads and writes what a connection is ready for.
/// Returns whether it lives on.
SHUNT_INLINE bool rendezvous_server::go_on(connection& c) {
  constexpr std::size_t longest_answer = 256;  // to the challenge
  auto const passing = [] { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; };
  if (c.out.empty()) {
    char bytes[1 << 16];
    auto const got = ::recv(c.socket, bytes, c.member ? sizeof bytes : longest_answer, 0);
    if (got == 0 || (got < 0 && !passing())) return false;
    if (got > 0) c.in.append(bytes, static_cast<std::size_t>(got));
  }
  for (;;) {
    while (!c.out.empty()) {
      auto const sent = ::send(c.socket, c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (sent < 0) return passing();
      c.out.erase(0, static_cast<std::size_t>(sent));
    }
    if (c.refused) return false;
    auto const fields = detail::take_frame(c.in, c.member ? detail::longest_frame : longest_answer);
    if (!fields) return true;
    answer(c, *fields);
  }
}

/// Appends the answer to what a connection says. Throws runtime_error for nonsense.
SHUNT_INLINE void rendezvous_server::answer(connection& c, std::vector<std::string> const& fields) {
  if (!c.member) {
    if (fields.size() != 2 || fields[0].size() != detail::nonce_bytes)
      throw std::runtime_error("no answer to the challenge");
    c.member = detail::equal_in_constant_time(
        fields[1], detail::proof_of(how_.key, "client", c.nonce, fields[0]));
    c.refused = !c.member;
    c.out = c.refused
                ? detail::frame_of({})
                : detail::frame_of({detail::proof_of(how_.key, "server", c.nonce, fields[0])});
    return;
  }
  if (fields.size() != 3 || fields[0].size() != 1) throw std::runtime_error("no request");
  auto const& path = fields[1];
  auto const& more = fields[2];
  auto const found = files_.find(path);
  bool const there = found != files_.end();
  int number = 0;
  std::string_view text;
  switch (static_cast<detail::file_operation>(fields[0].front())) {
    using enum detail::file_operation;
    case exists: number = there; break;
    case read:
      number = there && !found->second.directory;
      if (number != 0) text = found->second.text;
      break;
    case write:
    case append:
      if (there && found->second.directory) {
        number = EISDIR;
      } else {
        auto& held = files_[path].text;
        if (static_cast<detail::file_operation>(fields[0].front()) == write) held.clear();
        held += more;
      }
      break;
    case rename:
    case link:
      if (!there) {
        number = ENOENT;
      } else if (static_cast<detail::file_operation>(fields[0].front()) == rename) {
        auto moved = std::move(found->second);
        files_.erase(found);
        files_[more] = std::move(moved);
      } else if (!files_.try_emplace(more, found->second).second) {
        number = EEXIST;
      }
      break;
    case make_directory:
      if (!files_.try_emplace(path, node{.directory = true}).second) number = EEXIST;
      break;
    case remove: files_.erase(path); break;
    default: throw std::runtime_error("no operation");
  }
  c.out = detail::frame_of({std::to_string(number), text});
}

}  // namespace shunt
