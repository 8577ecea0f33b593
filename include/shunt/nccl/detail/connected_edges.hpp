#pragma once
/// Which pairs of ranks are connected in which communicator.
#include <set>
#include <tuple>
#include <utility>

#include "shunt/core/id.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

/// The pairs of ranks (sender, receiver) in a communicator that one rank has connected. The key of
/// the communicator of all ranks has no members.
class connected_edges {
 public:
  using edge = std::tuple<communicator_key, rank_id, rank_id>;

  /// Returns the edges of a program that end at `self` and are not connected yet.
  [[nodiscard]] std::set<edge> missing(program const& p, message_routes const& routes,
                                       rank_id self) const {
    std::set<edge> fresh;
    for (auto const& i : p.ranks[self].instructions) {
      if (i.code != opcode::send && i.code != opcode::receive) continue;
      auto const from = i.code == opcode::send ? self : i.peer,
                 to = i.code == opcode::send ? i.peer : self;
      if (edge e{routes.key(from, to, i.channel), from, to}; !connected_.contains(e))
        fresh.insert(std::move(e));
    }
    return fresh;
  }
  void insert(std::set<edge> const& fresh) { connected_.insert(fresh.begin(), fresh.end()); }
  void clear() noexcept { connected_.clear(); }

 private:
  std::set<edge> connected_{};
};

}  // namespace shunt::detail
