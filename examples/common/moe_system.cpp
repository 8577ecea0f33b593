#include "moe_system.hpp"

#include "cli.hpp"
#include "shunt/core/error.hpp"

namespace example {

std::optional<std::int32_t> flexmoe_interval(std::string const& field, std::string_view name) {
  constexpr std::string_view begin = "flexmoe-";
  if (name.substr(0, begin.size()) != begin) return std::nullopt;
  return static_cast<std::int32_t>(parse_integer(field + " (interval of " + quoted(name) + ")",
                                                 name.substr(begin.size()), 1, 1'000'000));
}

std::vector<moe_system> parse_moe_systems(std::string const& field, std::string_view text) {
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
          field, quoted(name) + " is none of swift_moe, deepspeed and flexmoe-ITERATIONS");
  }
  return all;
}

}  // namespace example
