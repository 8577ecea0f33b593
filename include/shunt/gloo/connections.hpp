#pragma once
/// The connections of one member of a mesh to all others, made all at once, and in the end closed
/// so. Gloo's own `connectFullMesh` makes one after another, and for each waits until its thread,
/// which may rest for 10 ms, has seen that there is one more or less; and it tells nobody that the
/// peer whose connection it waits for has died.
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
#include <vector>

#include <gloo/rendezvous/store.h>
#include <gloo/transport/context.h>
#include <gloo/transport/device.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/unbound_buffer.h>

namespace shunt::detail {

class connections {
 public:
  /// As member `place` of `size`: leaves its addresses in `store`, finds the others' there, and
  /// connects to all. Gives up on a connection after five times `patience`, and on all once
  /// `should_stop_waiting()` is true. Throws what Gloo throws, or runtime_error.
  template <class ShouldStop>
  connections(std::shared_ptr<::gloo::transport::Device> const& device,
              ::gloo::rendezvous::Store& store, int place, int size,
              std::chrono::milliseconds patience, ShouldStop const& should_stop_waiting)
      : place_(place), size_(size), context_(device->createContext(place, size)) {
    context_->setTimeout(patience);
    std::vector<char> own;
    for (int i = 0; i < size_; ++i) {
      if (i == place_) continue;
      auto const address = context_->createPair(i)->address().bytes();
      own.insert(own.end(), address.begin(), address.end());
    }
    store.set(std::to_string(place_), own);

    std::atomic<int> left = size_ - 1;
    std::mutex one_at_a_time;
    std::exception_ptr failure;
    auto const failed = [&](std::exception_ptr why = {}) {
      std::lock_guard const lock(one_at_a_time);
      if (why && !failure) failure = why;
      return static_cast<bool>(failure);
    };
    std::vector<std::jthread> making;
    try {
      for (int i = 0; i < size_; ++i) {
        if (i == place_) continue;
        auto const addresses = store.get(std::to_string(i));  // waits for them
        auto const length = static_cast<std::ptrdiff_t>(addresses.size()) / (size_ - 1);
        auto const begin = addresses.begin() + (place_ > i ? place_ - 1 : place_) * length;
        making.emplace_back([&, i, address = std::vector<char>(begin, begin + length)] {
          try {
            context_->getPair(i)->connect(address);
          } catch (...) {
            failed(std::current_exception());
          }
          --left;
        });
      }
      for (; left > 0 && !failed(); std::this_thread::sleep_for(std::chrono::milliseconds{1}))
        if (should_stop_waiting()) throw std::runtime_error("a peer died");
    } catch (...) {
      failed(std::current_exception());
    }
    if (failed()) at_once([this](int i) { context_->getPair(i)->close(); });  // ends all waiting
    making.clear();
    if (failure) std::rethrow_exception(failure);
  }
  connections(connections const&) = delete;
  connections& operator=(connections const&) = delete;
  ~connections() {
    at_once([this](int i) { context_->getPair(i).reset(); });
  }

  [[nodiscard]] std::unique_ptr<::gloo::transport::UnboundBuffer> buffer(void* bytes,
                                                                         std::size_t size) const {
    return context_->createUnboundBuffer(bytes, size);
  }

 private:
  /// Does something with every connection, on a thread each where there may be so many.
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

  int const place_, size_;
  std::shared_ptr<::gloo::transport::Context> const context_;
};

}  // namespace shunt::detail
