#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

namespace shunt {

/// Prints an object with one key a line, and one line for each object in a list, so that people can
/// read long answers too.
inline void print_json(std::ostream& out, nlohmann::ordered_json const& object) {
  out << "{";
  char const* separator = "\n  ";
  for (auto const& [key, value] : object.items()) {
    out << separator << nlohmann::ordered_json(key) << ": ";
    separator = ",\n  ";
    if (value.is_array() && !value.empty() && value.front().is_object()) {
      char const* item = "[\n    ";
      for (auto const& element : value) {
        out << item << element;
        item = ",\n    ";
      }
      out << "\n  ]";
    } else {
      out << value;
    }
  }
  out << "\n}\n";
}

/// Returns ids as a list of numbers.
template <class Ids>
[[nodiscard]] nlohmann::ordered_json numbers_of(Ids const& ids) {
  auto numbers = nlohmann::ordered_json::array();
  for (auto const& id : ids) numbers.push_back(id.value());
  return numbers;
}

}  // namespace shunt
