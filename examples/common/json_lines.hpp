#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

namespace example {

/// Prints an object with one key a line, and one line for each object in a list, so that people can
/// read long answers too.
void print_json(std::ostream& out, nlohmann::ordered_json const& object);

/// Ids as a list of numbers.
template <class Ids>
[[nodiscard]] nlohmann::ordered_json numbers_of(Ids const& ids) {
  auto numbers = nlohmann::ordered_json::array();
  for (auto const& id : ids) numbers.push_back(id.value());
  return numbers;
}

}  // namespace example
