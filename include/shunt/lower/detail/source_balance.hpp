#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/plan/expert_hosts.hpp"

namespace shunt::detail {

/// Divides the messages of some experts over their hosts, see balanced_sources.
class source_balance {
 public:
  using host_table = indexed<expert_id, std::vector<expert_host>>;

  SHUNT_CONSTEXPR source_balance(host_table const& hosts, std::int32_t ranks);

  /// Counts messages that a rank sends under any choice.
  constexpr void sends(rank_id r, std::int64_t messages) { sends_[r] += messages; }

  /// Adds a message of an expert to the host that sends least, ties to the first.
  SHUNT_CONSTEXPR void one_more(expert_id e);

  /// Moves a message away from the rank that sends most, along the shortest chain of shared
  /// experts.
  /// Returns false where no chain helps.
  SHUNT_CONSTEXPR bool shift();

  /// Returns how many messages of an expert each of its hosts sends.
  [[nodiscard]] SHUNT_CONSTEXPR std::vector<std::int64_t> const& served(expert_id e) const;

 private:
  struct hosted {
    expert_id expert{};
    std::size_t place = 0;  // among the expert's hosts
    bool operator==(hosted const&) const = default;
  };
  struct step {
    expert_id expert{};
    std::size_t giver = 0, taker = 0;  // among the expert's hosts
    bool known = false;
    bool operator==(step const&) const = default;
  };

  host_table const& hosts_;
  indexed<rank_id, std::int64_t> sends_;
  indexed<rank_id, std::vector<hosted>> hosted_;
  indexed<expert_id, std::vector<std::int64_t>> served_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/lower/detail/source_balance.ipp"
#endif
