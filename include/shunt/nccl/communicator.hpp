#pragma once
/// One rank's part in one communicator: made, split, shrunk and ended without ever waiting forever.
///
/// Every communicator is non-blocking: a call returns at once and its state is polled until it is
/// settled, for `patience` at most. It ends in one of two ways: `finalize` (all members together,
/// when nothing is under way) or abort, which asks nobody; the destructor aborts. A communicator
/// must end before the streams that it was used on. Fails with nccl_error where NCCL refuses (two
/// ranks on one device, for example), where somebody does not come in time (a rank that is missing
/// or there twice), and with whatever `watch` throws.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/nccl/library.hpp"

namespace shunt {

struct nccl_config {
  std::chrono::milliseconds patience{
      30'000};  ///< for all members to come where something is made, connected or ended
  std::chrono::milliseconds silence{30'000};  ///< after which a rank whose streams complete nothing
                                              ///< gives up; longer than any instruction
  std::int32_t communicators =
      64;  ///< that a rank keeps beside the one of all ranks; each takes device memory
  std::int32_t blocks = 0;  ///< of the GPU that a communicator may use at once; 0: as NCCL likes
  /// Asked while something is waited for; what it throws ends the wait: peer_lost where a detector
  /// of failures names a rank, run_aborted.
  std::function<void()> watch{};
};

namespace detail {

/// Lets others run: for a moment at first, then for longer.
class growing_pause {
 public:
  void operator()() {
    if (++turns_ < 64)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds{turns_ < 512 ? 20 : 200});
  }

 private:
  int turns_ = 0;
};

[[nodiscard]] inline std::string names_of(std::span<rank_id const> ranks) {
  std::string names = ranks.size() == 1 ? "rank" : "ranks";
  for (rank_id const r : ranks) names += " " + std::to_string(r.value());
  return names;
}

}  // namespace detail

template <nccl_library Api>
class nccl_communicator {
 public:
  using handle = typename Api::communicator;

  /// Of no ranks.
  nccl_communicator() = default;
  nccl_communicator(nccl_communicator&& other) noexcept
      : handle_(std::exchange(other.handle_, {})),
        members_(std::move(other.members_)),
        self_(other.self_) {}
  nccl_communicator& operator=(nccl_communicator&& other) noexcept {
    if (this != &other) {
      abort();
      handle_ = std::exchange(other.handle_, {});
      members_ = std::move(other.members_);
      self_ = other.self_;
    }
    return *this;
  }
  ~nccl_communicator() { abort(); }

  /// All of these ranks together, of which this is `self`; they name the same identity. Throws
  /// std::invalid_argument where self is none of them.
  nccl_communicator(typename Api::identity const& id, std::vector<rank_id> members, rank_id self,
                    nccl_config const& config)
      : nccl_communicator() {  // from here on the destructor aborts what fails half-way: NCCL still
                               // writes to the handle until then
    members_ = std::move(members);
    self_ = self;
    if (!contains(self))
      throw std::invalid_argument("rank " + std::to_string(self.value()) +
                                  " is no member of its communicator");
    auto const size = static_cast<int>(members_.size());
    demand(Api::init(handle_, size, id, place_of(self), config.blocks),
           "can't join a communicator of " + detail::names_of(members_));
    settle(config, "to join a communicator of " + detail::names_of(members_));
  }

  /// Parts of this communicator, no two of which share a rank: every member calls it with the same
  /// parts and has the part that it is in, or one of no ranks. Nothing may be under way here. Where
  /// it throws, this communicator is gone as well.
  [[nodiscard]] nccl_communicator split(std::span<std::vector<rank_id> const> parts,
                                        nccl_config const& config) {
    nccl_communicator part;
    part.self_ = self_;
    int colour = -1;
    for (std::size_t c = 0; c < parts.size(); ++c)
      if (std::find(parts[c].begin(), parts[c].end(), self_) != parts[c].end()) {
        colour = static_cast<int>(c);
        part.members_ = parts[c];
      }
    auto const what = colour < 0 ? std::string("a communicator for others")
                                 : "a communicator of " + detail::names_of(part.members_);
    make(part, colour >= 0, config, "split off " + what, [&] {
      return Api::split(handle_, colour, colour < 0 ? 0 : part.place_of(self_), part.handle_);
    });
    return part;
  }

  /// The others without these; whatever is under way here comes to an end, and this communicator is
  /// of no more use. All that are left call it.
  [[nodiscard]] nccl_communicator shrunk(std::span<rank_id const> dead, nccl_config const& config) {
    nccl_communicator rest;
    rest.self_ = self_;
    std::vector<int> left_out;
    for (rank_id const r : members_)
      if (std::find(dead.begin(), dead.end(), r) == dead.end())
        rest.members_.push_back(r);
      else
        left_out.push_back(place_of(r));
    make(rest, true, config, "go on without " + detail::names_of(dead),
         [&] { return Api::shrink(handle_, left_out, rest.handle_); });
    return rest;
  }

  /// All members together, when nothing is under way any more. Throws where one does not come; the
  /// communicator is gone then as well.
  void finalize(nccl_config const& config) {
    if (members_.empty()) return;
    try {
      demand(Api::finalize(handle_), "can't end a communicator of " + detail::names_of(members_));
      settle(config, "to end a communicator of " + detail::names_of(members_));
    } catch (...) {
      abort();
      throw;
    }
    members_.clear();
    demand(Api::destroy(std::exchange(handle_, {})), "can't free a communicator");
  }
  /// At once, and whatever is under way.
  void abort() noexcept {
    if (handle_ != handle{}) (void)Api::abort(std::exchange(handle_, {}));
    members_.clear();
  }

  [[nodiscard]] handle get() const { return handle_; }
  [[nodiscard]] std::vector<rank_id> const& members() const { return members_; }
  [[nodiscard]] bool contains(rank_id r) const {
    return std::find(members_.begin(), members_.end(), r) != members_.end();
  }
  /// What NCCL calls the rank here. Throws std::invalid_argument where it is no member.
  [[nodiscard]] int place_of(rank_id r) const {
    auto const at = std::find(members_.begin(), members_.end(), r);
    if (at == members_.end())
      throw std::invalid_argument("rank " + std::to_string(r.value()) + " is none of " +
                                  detail::names_of(members_));
    return static_cast<int>(at - members_.begin());
  }

  /// Throws what went wrong since the last call; nothing is waited for.
  void check(std::string const& what) const {
    if (auto const s = Api::state(handle_);
        s != nccl_status::success && s != nccl_status::in_progress)
      refuse(s, what);
  }
  /// Waits until the last call is through.
  void settle(nccl_config const& config, std::string const& what) const {
    auto const until = std::chrono::steady_clock::now() + config.patience;
    for (detail::growing_pause pause;; pause()) {
      auto const s = Api::state(handle_);
      if (s == nccl_status::success) return;
      if (s != nccl_status::in_progress) refuse(s, what);
      if (config.watch) config.watch();
      if (std::chrono::steady_clock::now() > until)
        throw nccl_error("rank " + std::to_string(self_.value()) + " waited " +
                             std::to_string(config.patience.count()) + " ms " + what,
                         s);
    }
  }
  void demand(nccl_status s, std::string const& what) const {
    if (s != nccl_status::success && s != nccl_status::in_progress) refuse(s, what);
  }

 private:
  /// Lets this one make another. NCCL writes the new handle when it is done, at whatever time: so
  /// after a failure this one is aborted, which ends that, before the other goes.
  template <class Call>
  void make(nccl_communicator& other, bool any, nccl_config const& config, std::string const& what,
            Call const& call) {
    try {
      demand(call(), "can't " + what);
      settle(config, "to " + what);
      if (any) other.settle(config, "to " + what);
    } catch (...) {
      abort();
      throw;
    }
  }
  [[noreturn]] void refuse(nccl_status s, std::string const& what) const {
    auto const why = Api::last_error(handle_);
    throw nccl_error("rank " + std::to_string(self_.value()) + ", " + what + ": " +
                         std::string(to_string(s)) + (why.empty() ? "" : ": ") + why,
                     s);
  }

  handle handle_{};
  std::vector<rank_id> members_{};
  rank_id self_{};
};

}  // namespace shunt
