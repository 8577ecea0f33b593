#pragma once
/// A model of the platform and of the files under the protocol of `gloo/`: everything is virtual.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/platform.hpp"
#include "shunt/launch/shared_files.hpp"
#include "support/simulated/disk.hpp"
#include "support/simulated/network.hpp"
#include "support/simulated/threads.hpp"
#include "support/simulated/world.hpp"

namespace shunt::tests::simulated {

/// A world with a disk and a network.
struct virtual_cluster {
  explicit virtual_cluster(std::uint64_t seed) : time(seed) {
    current() = this;
    time.on_death = [this](process& p, bool crash) { net.died(p, crash); };
  }
  ~virtual_cluster() { current() = nullptr; }
  virtual_cluster(virtual_cluster const&) = delete;
  virtual_cluster& operator=(virtual_cluster const&) = delete;

  static virtual_cluster*& current() {
    static virtual_cluster* one = nullptr;
    return one;
  }

  world time;
  disk files{};
  network net{};
};

/// The disk of the cluster, for its processes.
class virtual_files final : public shared_files {
 public:
  [[nodiscard]] bool exists(std::string const& path) const override { return on().exists(path); }
  [[nodiscard]] std::optional<std::string> read(std::string const& path) const override {
    return on().read(path);
  }
  [[nodiscard]] std::error_code write(std::string const& path,
                                      std::string const& text) const override {
    return on().write(path, text);
  }
  [[nodiscard]] std::error_code append(std::string const&, std::string const&) const override {
    return std::make_error_code(std::errc::function_not_supported);
  }
  [[nodiscard]] std::error_code rename(std::string const& from,
                                       std::string const& to) const override {
    return on().rename(from, to);
  }
  [[nodiscard]] std::error_code link(std::string const& from,
                                     std::string const& to) const override {
    return on().link(from, to);
  }
  [[nodiscard]] std::error_code make_directory(std::string const& path) const override {
    return on().make_directory(path);
  }
  void remove(std::string const& path) const override { on().remove(path); }
  [[nodiscard]] std::string own_directory(std::string const& path) const override {
    return on().own_directory(path);
  }

 private:
  static disk& on() { return virtual_cluster::current()->files; }
};

/// One member's connections to all others.
class virtual_connections {
 public:
  using message = virtual_message;

  template <class ShouldStop>
  virtual_connections(gloo_config const& config, std::string const& prefix, int place, int size,
                      std::chrono::milliseconds patience, ShouldStop const& should_stop)
      : net_(virtual_cluster::current()->net) {
    auto& cluster = *virtual_cluster::current();
    auto& w = cluster.time;
    auto const address = [&](int i) {
      return config.directory + "/" + prefix + ".address" + std::to_string(i);
    };
    for (int i = 0; i < size; ++i) {
      ends_.emplace_back(net_.wire_between(prefix, place, i), place > i ? 1U : 0U);
      if (i == place) continue;
      auto& own = ends_.back().first->ends[ends_.back().second];
      own.owner = w.running();
      own.ready = true;
    }
    nanos const limit = std::chrono::nanoseconds(patience).count();
    left_ = size - 1;
    try {
      auto const draft = address(place) + ".draft";
      if (cluster.files.write(draft, "here") || cluster.files.rename(draft, address(place)))
        throw std::runtime_error("no address can be left");
      for (int i = 0; i < size; ++i) {
        if (i == place) continue;
        nanos const until = w.now() + limit;
        for (; !cluster.files.exists(address(i)); w.sleep(millisecond))
          if (w.now() > until || should_stop()) throw std::runtime_error("a peer left no address");
        tried_.push_back(i);
        making_.emplace_back([this, i, limit] { connect(i, limit); });
      }
      for (; left_ > 0 && failure_.empty(); w.sleep(millisecond))
        if (should_stop()) throw std::runtime_error("the others have given it up");
    } catch (std::exception const& error) {
      fail(error.what());
    }
    if (failure_.empty()) join();
  }
  virtual_connections(virtual_connections const&) = delete;
  virtual_connections& operator=(virtual_connections const&) = delete;
  ~virtual_connections() {
    closed_ = true;
    for (auto const& [on, side] : ends_) {
      auto& own = on->ends[side];
      if (!own.owner) continue;
      own.changed.wake_all();
      if (own.connected && !own.broken) net_.send(on, side, {.what = packet::kind::end});
      network::break_off(*on, side, "closed");
    }
    join();
  }

  [[nodiscard]] std::string failure() const { return failure_; }
  [[nodiscard]] std::vector<int> unreached() const {
    std::vector<int> all;
    for (int const i : tried_)
      if (!ends_[static_cast<std::size_t>(i)]
               .first->ends[ends_[static_cast<std::size_t>(i)].second]
               .connected)
        all.push_back(i);
    return all;
  }
  [[nodiscard]] std::unique_ptr<message> buffer(void* bytes, std::size_t size) const {
    return std::make_unique<message>(net_, ends_, bytes, size);
  }

 private:
  void connect(int i, nanos patience) {
    auto const& [on, side] = ends_[static_cast<std::size_t>(i)];
    if (auto const why = net_.connect(on, side, patience, closed_); !why.empty()) fail(why);
    --left_;
  }
  void fail(std::string const& why) {
    if (failure_.empty()) failure_ = why;
  }
  void join() {
    for (auto& t : making_) t.join();
    making_.clear();
  }

  network& net_;
  std::vector<std::pair<std::shared_ptr<wire>, std::size_t>> ends_{};  // by place
  std::vector<virtual_thread> making_{};
  std::vector<int> tried_{};
  int left_ = 0;
  bool closed_ = false;
  std::string failure_{};
};

struct virtual_platform {
  using mutex = virtual_mutex;
  using condition = virtual_condition;
  using thread = virtual_thread;
  using connections = virtual_connections;

  [[nodiscard]] static time_point now() { return virtual_now(); }
  static void sleep(std::chrono::nanoseconds time) {
    auto& w = *current_world();
    w.sleep(time.count() + w.below(w.coarseness));
  }
};
static_assert(detail::platform<virtual_platform>);

}  // namespace shunt::tests::simulated
