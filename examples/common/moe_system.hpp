#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli.hpp"
#include "shunt/core/error.hpp"

namespace example {

/// A system of mixture-of-experts training, as docs/moe-systems.md has them: swift_moe, deepspeed
/// or flexmoe-K.
struct moe_system {
  std::string name{};
  std::string_view solver{};  ///< of its placements
  std::int32_t every = 1;     ///< iterations from one placement to the next; 0: placed once
  bool per_source = false;    ///< sources have the room for tokens, not slots
};

/// The iterations from one re-placement to the next in "flexmoe-10"; nothing for other names.
/// Throws invalid_problem, which names `field`, where they are no number from 1 to a million.
inline std::optional<std::int32_t> flexmoe_interval(std::string const& field,
                                                    std::string_view name) {
  constexpr std::string_view begin = "flexmoe-";
  if (name.substr(0, begin.size()) != begin) return std::nullopt;
  return static_cast<std::int32_t>(parse_integer(field + " (interval of " + quoted_text(name) + ")",
                                                 name.substr(begin.size()), 1, 1'000'000));
}

/// "swift_moe,flexmoe-10". Throws invalid_problem, naming the field and the item, where one is none
/// of them.
inline std::vector<moe_system> parse_moe_systems(std::string const& field, std::string_view text) {
  std::vector<moe_system> all;
  for (auto const name : items_of(text)) {
    if (name == "swift_moe")
      all.push_back({.name = "swift_moe", .solver = "swift_moe"});
    else if (name == "deepspeed")
      all.push_back({.name = "deepspeed", .solver = "uniform", .every = 0, .per_source = true});
    else if (auto const every = flexmoe_interval(field, name))
      all.push_back({.name = std::string(name), .solver = "flexmoe", .every = *every});
    else
      throw shunt::invalid_problem(
          field, quoted_text(name) + " is none of swift_moe, deepspeed and flexmoe-ITERATIONS");
  }
  return all;
}

}  // namespace example
