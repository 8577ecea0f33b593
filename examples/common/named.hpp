#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace example {

/// The names of a table's entries, for argument::one_of.
template <class Table>
[[nodiscard]] std::vector<std::string> names_of(Table const& table) {
  std::vector<std::string> all;
  for (auto const& entry : table) all.emplace_back(entry.name);
  return all;
}

/// The entry of this name, which is there.
template <class Table>
[[nodiscard]] auto const& named(Table const& table, std::string_view name) {
  return *std::find_if(table.begin(), table.end(),
                       [&](auto const& entry) { return entry.name == name; });
}

}  // namespace example
