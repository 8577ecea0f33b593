#pragma once
/// The connections of one member of a mesh to all others. They are made in parallel and closed in
/// parallel. Gloo's `connectFullMesh` makes one after another, polls for up to 10 ms each, and does
/// not report that the peer which it waits for has died.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <net/if.h>

#include <gloo/transport/context.h>
#include <gloo/transport/device.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/loopback_address.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt::detail {

/// Waits for the file in which a member leaves its addresses. Gloo itself would wait half a minute
/// for those of a peer that died before it wrote them.
/// Returns what the file holds.
/// Throws runtime_error where it does not come within `patience`, or once `should_stop()` is true.
template <class ShouldStop>
[[nodiscard]] std::string await_address(gloo_config const& config, std::string const& path,
                                        std::chrono::milliseconds patience,
                                        ShouldStop const& should_stop) {
  waiting_time<host_platform> waited;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds{1})) {
    if (auto address = config.files->read(path)) return std::move(*address);
    if (waited.passed() > patience || should_stop())
      throw std::runtime_error("a peer left no address");
  }
}

/// Connections to all other members. Those that were made stay open until the destructor, even
/// where others could not be made.
class connections {
 public:
  /// A message that is sent or received: its `send`, `recv`, `waitSend`, `waitRecv`,
  /// `abortWaitSend` and `abortWaitRecv` are those of Gloo.
  using message = ::gloo::transport::UnboundBuffer;

  /// Connects as member `place` of `size`: writes its addresses into the directory, reads the
  /// others' there, and connects to all. Gives up on one after `patience`, on all once
  /// `should_stop()` is true. Files of one epoch begin with `prefix`.
  /// Throws what Gloo throws where it can't begin; runtime_error where there is no such interface.
  template <class ShouldStop>
  connections(gloo_config const& config, std::string const& prefix, int place, int size,
              std::chrono::milliseconds patience, ShouldStop const& should_stop)
      : place_(place),
        size_(size),
        context_(device_of(config)->createContext(place, size)),
        waits_(static_cast<std::size_t>(size)),
        made_(static_cast<std::size_t>(size)) {
    auto const address_of = [&](int i) {
      return config.directory + "/" + prefix + ".address" + std::to_string(i);
    };
    // Gloo waits for a connection 5 times so long.
    context_->setTimeout(patience / 5 + std::chrono::milliseconds{1});
    std::string own;
    for (int i = 0; i < size_; ++i) {
      if (i == place_) continue;
      auto const address = context_->createPair(i)->address().bytes();
      own.insert(own.end(), address.begin(), address.end());
    }
    if (auto const failed =
            replace_file(*config.files, address_of(place_) + ".draft", address_of(place_), own))
      throw std::runtime_error("no address can be left: " + failed.message());

    left_ = size_ - 1;
    try {
      for (int i = 0; i < size_; ++i) {
        if (i == place_) continue;
        auto const theirs = await_address(config, address_of(i), patience, should_stop);
        auto const length = static_cast<std::ptrdiff_t>(theirs.size()) / (size_ - 1);
        auto const begin = theirs.begin() + (place_ > i ? place_ - 1 : place_) * length;
        waits_[static_cast<std::size_t>(i)] = true;
        tried_.push_back(i);
        making_.emplace_back(
            [this, i, address = std::vector<char>(begin, begin + length)] { connect(i, address); });
      }
      for (; left_ > 0 && failure().empty();
           std::this_thread::sleep_for(std::chrono::milliseconds{1}))
        if (should_stop()) throw std::runtime_error("the others have given it up");
    } catch (std::exception const& error) {
      fail(error.what());
    }
    if (failure().empty()) making_.clear();
  }
  connections(connections const&) = delete;
  connections& operator=(connections const&) = delete;
  ~connections() {
    at_once([this](int i) {
      if (waits_[static_cast<std::size_t>(i)]) context_->getPair(i)->close();  // ends the wait
    });
    making_.clear();
    at_once([this](int i) { context_->getPair(i).reset(); });
  }

  /// Returns why not all connections could be made; empty: all are.
  [[nodiscard]] std::string failure() const {
    std::lock_guard const lock(mutex_);
    return failure_;
  }

  /// Returns the places of members whose address is known and whose connection failed.
  [[nodiscard]] std::vector<int> unreached() const {
    std::vector<int> all;
    for (int const i : tried_)
      if (!made_[static_cast<std::size_t>(i)]) all.push_back(i);
    return all;
  }

  /// Returns a handle with which these bytes can be sent or received.
  [[nodiscard]] std::unique_ptr<message> buffer(void* bytes, std::size_t size) const {
    return context_->createUnboundBuffer(bytes, size);
  }

 private:
  [[nodiscard]] static std::shared_ptr<::gloo::transport::Device> device_of(
      gloo_config const& config) {
    if (!config.interface.empty() && if_nametoindex(config.interface.c_str()) == 0)
      throw std::runtime_error("no network interface " + config.interface);
    ::gloo::transport::tcp::attr attributes;
    attributes.iface = config.interface;
    if (config.interface.empty())
      attributes.hostname =
          config.hostname == gloo_config{}.hostname ? loopback_address() : config.hostname;
    return ::gloo::transport::tcp::CreateDevice(attributes);
  }

  /// Does something with every connection, on a thread each as far as there are threads.
  template <class Do>
  void at_once(Do const& what) const {
    std::vector<std::jthread> all;
    for (int i = 0; i < size_; ++i) {
      if (i == place_) continue;
      try {
        all.emplace_back([&what, i] { what(i); });
      } catch (std::system_error const&) {
        what(i);
      }
    }
  }

  /// Thread body: makes one connection.
  void connect(int i, std::vector<char> const& address) {
    try {
      context_->getPair(i)->connect(address);
      made_[static_cast<std::size_t>(i)] = true;
    } catch (std::exception const& error) {
      fail(error.what());
    }
    waits_[static_cast<std::size_t>(i)] = false;
    --left_;
  }
  void fail(std::string const& why) {
    std::lock_guard const lock(mutex_);
    if (failure_.empty()) failure_ = why.empty() ? "for a reason without a name" : why;
  }

  int const place_, size_;
  std::shared_ptr<::gloo::transport::Context> const context_;
  std::vector<std::atomic<bool>> waits_, made_;  // by place
  std::vector<int> tried_{};
  std::atomic<int> left_ = 0;  // connections that are neither made nor failed
  std::mutex mutable mutex_{};
  std::string failure_{};
  std::vector<std::jthread> making_{};
};

}  // namespace shunt::detail
