#pragma once
/// One epoch of a process: from the rendezvous of its members to their agreement on the survivors.
/// See docs/engines.md.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "shunt/gloo/process_end.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::detail {

/// What a process carries from one epoch to the next.
template <platform Platform = host_platform>
struct epoch_state {
  std::int32_t epoch = 0;
  std::vector<rank_id> members{};
  /// Mesh of the last epoch: detects failures until the next epoch has begun.
  std::shared_ptr<basic_gloo_mesh<Platform>> before{};
  bool whole = false;          ///< all agree that it also serves the next epoch of the same members
  std::int64_t completed = 0;  ///< programs that all have completed over it
  bool first = true;           ///< the members have not met yet
};

/// The number with which a member signs in to the end of an epoch: its progress, and whether its
/// mesh is whole.
struct exit_status {
  progress done{};
  bool whole = false;
  [[nodiscard]] std::int64_t note() const {
    return (std::int64_t{done.programs} << 32) + (std::int64_t{done.instructions} << 1) + whole;
  }
  [[nodiscard]] static exit_status of(std::int64_t note) {
    return {{static_cast<std::int32_t>(note >> 32),
             static_cast<std::int32_t>((note >> 1) & 0x7fffffff)},
            (note & 1) != 0};
  }
};

/// One epoch. Not for several threads at once.
template <platform Platform = host_platform>
class process_epoch {
 public:
  using mesh_type = basic_gloo_mesh<Platform>;

  process_epoch(gloo_config config, rank_id self, std::shared_ptr<epoch_state<Platform>> state)
      : config_(std::move(config)), self_(self), state_(std::move(state)) {}

  /// Connects to the other members, unless they are still connected.
  /// Returns false where members are lost before that, or others have begun without this one; then
  /// all survivors have agreed on it.
  /// Throws rendezvous_failed where no mesh can be made.
  bool open() {
    constexpr int attempts = 6;
    auto& state = *state_;
    if (state.whole && state.before && state.before->members() == state.members) {
      net_ = state.before;
      before_ = state.completed;
      return true;
    }
    for (int n = 1;; ++n) try {
        net_ = std::make_shared<mesh_type>(config_, state.epoch, state.members, self_,
                                           state.before.get());
        state.first = false;
        return true;
      } catch (rendezvous_failed const& error) {
        if (state.first || n == attempts || (error.absent().empty() && !error.unconnected())) throw;
        absent_ = error.absent();
        settle({});
        // Others may have met in this epoch and begun: then it is a session of all.
        auto const has_begun = [](survivor const& s) { return s.note != 0; };
        if (!lost_.empty() || std::any_of(left_.begin(), left_.end(), has_begun)) return false;
      }
  }

  /// Agrees on the survivors and their progress.
  void settle(progress const& own) {
    auto& state = *state_;
    auto const begun = Platform::now();
    auto* const detector = net_ ? net_.get() : state.before.get();
    auto const seen = detector ? detector->when_lost() : std::nullopt;
    auto const noticed = seen && net_ ? seen->noticed : begun;

    waiting_time<Platform> waited;
    known_losses missed;
    auto const losses = [&] {
      missed = losses_of(detector, waited.passed());
      return missed;
    };
    exit_status const mine{own, net_ && net_->whole()};
    left_ = agree<Platform>(config_, state.epoch, state.members, self_, losses, mine.note());
    times_ = {.noticed = in_ticks(noticed.time_since_epoch()),
              .detect = seen ? in_ticks(noticed - seen->heard) : 0,
              .agree = in_ticks(Platform::now() - noticed)};
    std::vector<rank_id> members;
    for (survivor const& s : left_) members.push_back(s.rank);
    lost_.clear();
    std::set_difference(state.members.begin(), state.members.end(), members.begin(), members.end(),
                        std::back_inserter(lost_));
    state.whole = lost_.empty() && mine.whole &&
                  std::all_of(left_.begin(), left_.end(),
                              [&](survivor const& s) { return s.note == mine.note(); });
    if (detector && !state.whole) {  // a kept mesh continues to report deaths
      std::erase_if(missed.ranks, [&](rank_id r) {
        return !std::binary_search(members.begin(), members.end(), r);
      });
      detector->forgive(missed.ranks);
    }
    state.completed = before_ + own.programs;
    state.members = std::move(members);
    state.before = net_;  // where there is none, the previous mesh detects no more losses
    ++state.epoch;
  }
  /// All members are here: the previous mesh is needed no longer.
  void all_are_here() { state_->before.reset(); }

  /// Returns the mesh, or null where `open` returned false.
  [[nodiscard]] std::shared_ptr<mesh_type> const& mesh() const { return net_; }
  /// Returns how many programs all had completed over the mesh before this epoch.
  [[nodiscard]] std::int64_t before() const { return before_; }
  /// Returns the survivors, as agreed.
  [[nodiscard]] std::vector<survivor> const& left() const { return left_; }
  /// Returns the lost ranks, as agreed, ascending.
  [[nodiscard]] std::vector<rank_id> const& lost() const { return lost_; }
  /// Returns the times of the loss, as this process measured them.
  [[nodiscard]] loss_times const& times() const { return times_; }

 private:
  using clock = std::chrono::steady_clock;

  [[nodiscard]] static ticks in_ticks(clock::duration d) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
  }

  /// Returns the members that are lost, after this process has waited so long for the others to
  /// agree.
  [[nodiscard]] known_losses losses_of(mesh_type const* detector, clock::duration waited) const {
    known_losses all = detector ? detector->losses() : known_losses{};
    auto const is_in = [](std::vector<rank_id> const& ranks, rank_id r) {
      return std::find(ranks.begin(), ranks.end(), r) != ranks.end();
    };
    auto const watched = [&](rank_id r) {  // forgiven ranks are not
      return detector && is_in(detector->members(), r) && !is_in(detector->lost(), r);
    };
    for (rank_id const r : state_->members) {
      if (r == self_) continue;
      if (detector && !is_in(detector->members(), r)) all.quiet.push_back(r);  // a new process
      if (has_ended(config_, r)) {
        std::erase(all.quiet, r);
        std::erase(all.silent, r);
        if (!is_in(all.ranks, r)) all.ranks.push_back(r);
        continue;
      }
      // Without a mesh, who came and is still there signs in at once; another may still come.
      bool const is_late =
          !net_ && (is_in(absent_, r) || (waited > 3 * config_.silence && !has_signed(r, "view") &&
                                          (waited > config_.patience + 3 * config_.silence ||
                                           (!watched(r) && has_signed(r, "rank")))));
      if (!is_late || is_in(all.ranks, r)) continue;
      std::erase(all.quiet, r);
      all.ranks.push_back(r);
      all.silent.push_back(r);
    }
    return all;
  }
  [[nodiscard]] bool has_signed(rank_id r, char const* what) const {
    return config_.files->exists(epoch_file(config_, state_->epoch, what, r));
  }

  gloo_config const config_;
  rank_id const self_;
  std::shared_ptr<epoch_state<Platform>> state_;
  std::shared_ptr<mesh_type> net_{};
  std::int64_t before_ = 0;
  std::vector<rank_id> absent_{};  // from the rendezvous, where it failed
  std::vector<survivor> left_{};
  std::vector<rank_id> lost_{};
  loss_times times_{};
};

}  // namespace shunt::detail
