#pragma once
/// Ranks as threads that meet over the NCCL double.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/nccl/transport.hpp"
#include "support/nccl_double.hpp"

namespace shunt::tests::nccl_parties {

using namespace detail;
using namespace std::chrono_literals;
using nccl_double::api;
using nccl_double::world;
using transport_type = nccl_transport<api>;

inline nccl_config const quick{.patience = 300ms, .silence = 300ms};
inline nccl_config const patient{.patience = 20s, .silence = 20s};

/// f(rank) on a thread and device each; what they throw, by rank.
inline std::vector<std::string> together(std::int32_t ranks,
                                         std::function<void(rank_id)> const& f) {
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (rank_id const r : ids<rank_id>(ranks))
    threads.emplace_back([&, r] {
      nccl_double::device() = r.value();
      try {
        f(r);
      } catch (std::exception const& e) {
        errors[r.index()] = e.what();
      }
    });
  for (auto& t : threads) t.join();
  return errors;
}
inline std::vector<std::string> nothing(std::int32_t ranks) {
  return std::vector<std::string>(static_cast<std::size_t>(ranks));
}
inline bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

inline std::vector<rank_id> every_rank(std::int32_t ranks) {
  std::vector<rank_id> all;
  for (rank_id const r : ids<rank_id>(ranks)) all.push_back(r);
  return all;
}

using word = std::int64_t;
inline std::span<std::byte> bytes(word& w) { return std::as_writable_bytes(std::span(&w, 1)); }
inline std::span<std::byte const> bytes(word const& w) { return std::as_bytes(std::span(&w, 1)); }

/// Waits for a stream, as long as `quick` lets a rank be silent; false where it does not come to
/// its end.
inline bool ends(nccl_double::system& s, nccl_double::stream_state* stream,
                 std::chrono::milliseconds limit = 20s) {
  auto e = s.make_event();
  s.record(e, stream);
  auto const until = std::chrono::steady_clock::now() + limit;
  while (!s.finished(e)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

/// A rank with one stream, its communicators and what it sends and receives.
struct party {
  explicit party(int identity, std::int32_t ranks, rank_id self, nccl_config config = patient)
      : system(self.value()),
        stream(system.make_stream()),
        net(identity, every_rank(ranks), self, std::move(config)),
        mine(100 + self.value()) {}
  nccl_double::system system;
  nccl_double::system::stream stream;
  transport_type net;
  word mine, came = -1, more = -1;
};

inline communicator_key interval(std::int32_t first, std::int32_t last) {
  communicator_key key;
  for (std::int32_t r = first; r <= last; ++r) key.members.emplace_back(r);
  return key;
}

}  // namespace shunt::tests::nccl_parties
