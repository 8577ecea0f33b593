#pragma once
/// Where the members of a mesh leave their addresses for each other: Gloo's store of files, with an
/// end to waiting. Gloo itself would wait half a minute for the address of a peer that died before
/// it left any.
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gloo/rendezvous/file_store.h>

namespace shunt::detail {

class addresses : public ::gloo::rendezvous::FileStore {
 public:
  /// Nobody waits longer than `patience`, or once `should_stop_waiting()` is true.
  addresses(std::string const& directory, std::chrono::milliseconds patience,
            std::function<bool()> should_stop_waiting)
      : FileStore(directory),
        patience_(patience),
        should_stop_waiting_(std::move(should_stop_waiting)) {}

  void wait(std::vector<std::string> const& keys) override { wait(keys, patience_); }
  /// Throws runtime_error.
  void wait(std::vector<std::string> const& keys, std::chrono::milliseconds const&) override {
    auto const until = std::chrono::steady_clock::now() + patience_;
    for (; !check(keys); std::this_thread::sleep_for(std::chrono::milliseconds{1}))
      if (std::chrono::steady_clock::now() > until || should_stop_waiting_())
        throw std::runtime_error("a peer left no address");
  }

 private:
  std::chrono::milliseconds const patience_;
  std::function<bool()> const should_stop_waiting_;
};

}  // namespace shunt::detail
