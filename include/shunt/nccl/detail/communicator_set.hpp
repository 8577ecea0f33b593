#pragma once
/// One rank's communicators: that of all ranks, and those split from it for groups, pairs, edges.
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/communicator_ledger.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/message_routes.hpp"

namespace shunt::detail {

/// Requires that `config` outlives the set.
template <nccl_library Api>
class communicator_set {
 public:
  using communicator = nccl_communicator<Api>;

  communicator_set(typename Api::identity const& id, std::vector<rank_id> members, rank_id self,
                   nccl_config const& config)
      : config_(config),
        self_(self),
        ledger_(config.communicators),
        all_(id, std::move(members), self, config) {}
  communicator_set(communicator_set const&) = delete;
  communicator_set& operator=(communicator_set const&) = delete;
  ~communicator_set() { abort(); }

  [[nodiscard]] communicator const& all() const { return all_; }
  /// Returns the number of communicators that this rank is in.
  [[nodiscard]] std::size_t size() const {
    return others_.size() + (all_.members().empty() ? 0 : 1);
  }
  [[nodiscard]] bool knows(communicator_key const& key) const { return ledger_.knows(key); }
  /// Returns the communicator of a key; that of all ranks for a key without members.
  /// Throws nccl_error where this rank has none.
  [[nodiscard]] communicator const& find(communicator_key const& key) const {
    if (key.members.empty()) return all_;
    auto const known = others_.find(key);
    if (known == others_.end())
      throw nccl_error("no communicator of " + detail::names_of(key.members) +
                           ": the program was not prepared",
                       nccl_status::invalid_usage);
    return known->second;
  }

  /// Makes the needed communicators and drops those beyond the bound. Collective.
  /// Throws invalid_program where a rank needs more than the bound, and nccl_error.
  void provide(std::span<communicator_key const> needed) {
    auto const change = ledger_.provide(needed);
    for (auto const& key : change.dropped)
      if (auto const known = others_.find(key); known != others_.end()) {
        known->second.finalize(config_);
        others_.erase(known);
        std::erase(made_, key);
      }
    for (auto const& split : change.splits) {
      std::vector<std::vector<rank_id>> parts;
      for (auto const& key : split) parts.push_back(key.members);
      auto made = all_.split(parts, config_);
      for (auto const& key : split)
        if (key.contains(self_)) {
          others_.emplace(key, std::move(made));
          made_.push_back(key);
        }
    }
  }

  /// Checks all communicators for asynchronous errors. Never waits.
  /// Throws nccl_error.
  void check(std::string const& what) const {
    all_.check(what);
    for (auto const& [key, c] : others_) c.check(what);
  }

  /// Continues without these ranks. See nccl_transport::shrink.
  void shrink(std::span<rank_id const> dead) {
    forget();
    auto rest = all_.shrunk(dead, config_);
    all_ = std::move(rest);
  }
  /// Continues with these ranks only. See nccl_transport::rebuild.
  void rebuild(typename Api::identity const& id, std::vector<rank_id> members) {
    abort();
    all_ = communicator(id, std::move(members), self_, config_);
  }

  /// Finalizes all communicators, the one made last first. Collective.
  void close() {
    for (auto at = made_.rbegin(); at != made_.rend(); ++at)
      if (auto const known = others_.find(*at); known != others_.end())
        known->second.finalize(config_);
    forget();
    all_.finalize(config_);
  }
  /// Ends all communicators at once.
  void abort() noexcept {
    forget();
    all_.abort();
  }

 private:
  void forget() noexcept {
    others_.clear();
    made_.clear();
    ledger_.clear();
  }

  nccl_config const& config_;
  rank_id const self_;
  communicator_ledger ledger_;
  communicator all_;
  std::map<communicator_key, communicator> others_{};
  std::vector<communicator_key> made_{};  // in the order of creation
};

}  // namespace shunt::detail
