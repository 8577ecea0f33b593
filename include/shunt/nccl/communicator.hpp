#pragma once
/// One rank's membership in one communicator, made, split, shrunk and ended without an unbounded
/// wait.
///
/// Every communicator is non-blocking: a call returns at once, and its state is polled until it is
/// settled, for `nccl_config::patience` at most. A communicator ends by `finalize` (collective,
/// with no operation in progress) or by `abort` (local, also in the destructor).
/// Throws nccl_error where NCCL refuses (for example two ranks on one device) or a member does not
/// arrive in time (a rank that is missing or present twice), and what `nccl_config::watch` throws.
/// Requires that a communicator ends before the streams on which it was used.
#include <algorithm>
#include <chrono>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/library.hpp"

namespace shunt {

namespace detail {

/// Yields to other threads: briefly at first, then for longer.
class backoff {
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

/// A move-only communicator with its members' ranks.
template <nccl_library Api>
class nccl_communicator {
 public:
  using handle = typename Api::communicator;

  /// An empty communicator, of no ranks.
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

  /// Joins a communicator of these ranks, as `self`. All members pass the same identity.
  /// Collective.
  /// Throws std::invalid_argument where self is no member, and nccl_error.
  // The delegated constructor makes the destructor abort what fails half-way; until then NCCL may
  // write to the handle.
  nccl_communicator(typename Api::identity const& id, std::vector<rank_id> members, rank_id self,
                    nccl_config const& config)
      : nccl_communicator() {
    members_ = std::move(members);
    self_ = self;
    if (!contains(self))
      throw std::invalid_argument("rank " + std::to_string(self.value()) +
                                  " is no member of its communicator");
    auto const size = static_cast<int>(members_.size());
    require_success(Api::init(handle_, size, id, place_of(self), config.blocks),
                    "can't join a communicator of " + detail::names_of(members_));
    settle(config, "to join a communicator of " + detail::names_of(members_));
  }

  /// Splits this communicator into parts, no two of which share a rank. Collective: every member
  /// passes the same parts.
  /// Returns the part that this rank is in, or a communicator of no ranks.
  /// Throws nccl_error; this communicator is then aborted as well.
  /// Requires that no operation is in progress here.
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

  /// Makes a communicator of the members that are not `dead`. Operations in progress here end, and
  /// this communicator cannot be used any more. Collective over the surviving members.
  /// Returns the new communicator.
  /// Throws nccl_error.
  [[nodiscard]] nccl_communicator shrunk(std::span<rank_id const> dead, nccl_config const& config) {
    nccl_communicator rest;
    rest.self_ = self_;
    std::vector<int> left_out;
    for (rank_id const r : members_)
      if (std::find(dead.begin(), dead.end(), r) == dead.end())
        rest.members_.push_back(r);
      else
        left_out.push_back(place_of(r));
    // The error that a lost rank left in this communicator may stay for good.
    auto const what = "go on without " + detail::names_of(dead);
    try {
      // NCCL refuses while the last call is in progress.
      (void)settled(config, "for its last call, to " + what);
      require_success(Api::shrink(handle_, left_out, rest.handle_), "can't " + what);
      auto const s = settled(config, "to " + what);
      if (rest.handle_ == handle{}) refuse(s, "can't " + what);
      rest.settle(config, "to " + what);
    } catch (...) {  // completes the call, which may write the new handle
      abort();
      throw;
    }
    return rest;
  }

  /// Ends the communicator. Collective over all members.
  /// Throws nccl_error where a member does not arrive; the communicator is then aborted.
  /// Requires that no operation is in progress.
  void finalize(nccl_config const& config) {
    if (members_.empty()) return;
    try {
      require_success(Api::finalize(handle_),
                      "can't end a communicator of " + detail::names_of(members_));
      settle(config, "to end a communicator of " + detail::names_of(members_));
    } catch (...) {
      abort();
      throw;
    }
    members_.clear();
    require_success(Api::destroy(std::exchange(handle_, {})), "can't free a communicator");
  }
  /// Ends the communicator at once, with operations in progress.
  void abort() noexcept {
    if (handle_ != handle{}) (void)Api::abort(std::exchange(handle_, {}));
    members_.clear();
  }

  [[nodiscard]] handle get() const { return handle_; }
  [[nodiscard]] std::vector<rank_id> const& members() const { return members_; }
  [[nodiscard]] bool contains(rank_id r) const {
    return std::find(members_.begin(), members_.end(), r) != members_.end();
  }
  /// Returns NCCL's number of a rank in this communicator.
  /// Throws std::invalid_argument where the rank is no member.
  [[nodiscard]] int place_of(rank_id r) const {
    auto const at = std::find(members_.begin(), members_.end(), r);
    if (at == members_.end())
      throw std::invalid_argument("rank " + std::to_string(r.value()) + " is none of " +
                                  detail::names_of(members_));
    return static_cast<int>(at - members_.begin());
  }

  /// Checks for an asynchronous error since the last call, without a wait. `what` describes the
  /// operation in the error's text.
  /// Throws nccl_error.
  void check(std::string const& what) const {
    if (auto const s = Api::state(handle_);
        s != nccl_status::success && s != nccl_status::in_progress)
      refuse(s, what);
  }
  /// Waits until the last call is settled, at most `patience`.
  /// Throws nccl_error, and what `watch` throws.
  void settle(nccl_config const& config, std::string const& what) const {
    if (auto const s = settled(config, what); s != nccl_status::success) refuse(s, what);
  }
  /// The same without regard to an error.
  /// Returns the state.
  [[nodiscard]] nccl_status settled(nccl_config const& config, std::string const& what) const {
    auto const until = std::chrono::steady_clock::now() + config.patience;
    for (detail::backoff pause;; pause()) {
      auto const s = Api::state(handle_);
      if (s != nccl_status::in_progress) return s;
      if (config.watch) config.watch();
      if (std::chrono::steady_clock::now() > until)
        throw nccl_error("rank " + std::to_string(self_.value()) + " waited " +
                             std::to_string(config.patience.count()) + " ms " + what,
                         s);
    }
  }
  void require_success(nccl_status s, std::string const& what) const {
    if (s != nccl_status::success && s != nccl_status::in_progress) refuse(s, what);
  }

 private:
  /// Makes another communicator from this one. NCCL writes the new handle at an unknown time until
  /// the call completes. After a failure this communicator is therefore aborted, which completes
  /// the call, before `other` is destroyed.
  template <class Call>
  void make(nccl_communicator& other, bool any, nccl_config const& config, std::string const& what,
            Call const& call) {
    try {
      require_success(call(), "can't " + what);
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
