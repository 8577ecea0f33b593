#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
[[nodiscard]] std::optional<std::int32_t> flexmoe_interval(std::string const& field,
                                                           std::string_view name);

/// "swift_moe,flexmoe-10". Throws invalid_problem, naming the field and the item, where one is none
/// of them.
[[nodiscard]] std::vector<moe_system> parse_moe_systems(std::string const& field,
                                                        std::string_view text);

}  // namespace example
