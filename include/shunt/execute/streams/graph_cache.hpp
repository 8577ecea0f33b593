#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/streams/recent_programs.hpp"

namespace shunt {

/// How often a graph was made, updated and remade, and how often one was launched.
struct graph_counts {
  std::int32_t made = 0, updated = 0, remade = 0, launched = 0;
  [[nodiscard]] constexpr graph_counts since(graph_counts const& before) const {
    return {made - before.made, updated - before.updated, remade - before.remade,
            launched - before.launched};
  }
  bool operator==(graph_counts const&) const = default;
};

namespace detail {

/// The graphs that sessions one after the other keep. The next session launches none of them as it
/// is, since its own memory lies elsewhere; it updates those of the same shape.
template <class System>
class graph_cache {
 public:
  struct kept_graph {
    typename System::graph graph{};
    std::shared_ptr<cached_program<System>> holds{};
    std::int32_t last_launch = 0;
  };

  /// Keeps `most` graphs at once from now on, at least one.
  void keep(std::int32_t most) {
    most_ = std::max(most, 1);
    if (std::ssize(graphs_) > most_) graphs_.erase(graphs_.begin() + most_, graphs_.end());
  }

  /// Returns the graph that holds a program, or null.
  [[nodiscard]] kept_graph* holding(std::shared_ptr<cached_program<System>> const& of) {
    auto const at =
        std::find_if(graphs_.begin(), graphs_.end(), [&](auto const& g) { return g.holds == of; });
    return at == graphs_.end() ? nullptr : &*at;
  }
  /// Returns the graph that a program is to be captured into: the one with the same commands, else
  /// a new one, else the one not launched for longest. Later calls may invalidate the reference.
  [[nodiscard]] kept_graph& replaced_by(std::shared_ptr<cached_program<System>> const& of) {
    auto const& commands = of->bound.plan().commands;
    auto at = std::find_if(graphs_.begin(), graphs_.end(), [&](auto const& g) {
      return g.holds->bound.plan().commands == commands;
    });
    if (at == graphs_.end() && static_cast<std::int32_t>(graphs_.size()) < most_)
      at = graphs_.emplace(graphs_.end());
    if (at == graphs_.end())
      at = std::min_element(graphs_.begin(), graphs_.end(), [](auto const& a, auto const& b) {
        return a.last_launch < b.last_launch;
      });
    at->holds = of;
    return *at;
  }

  void captured(graph_change how) {
    switch (how) {
      case graph_change::made: ++counts_.made; break;
      case graph_change::updated: ++counts_.updated; break;
      case graph_change::remade: ++counts_.remade; break;
    }
  }
  void launched(kept_graph& g) { g.last_launch = ++counts_.launched; }
  [[nodiscard]] graph_counts const& counts() const { return counts_; }

 private:
  std::int32_t most_ = 1;
  std::vector<kept_graph> graphs_{};
  graph_counts counts_{};
};

}  // namespace detail

}  // namespace shunt
