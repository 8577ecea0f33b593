#include "json_lines.hpp"

namespace example {

void print_json(std::ostream& out, nlohmann::ordered_json const& object) {
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

}  // namespace example
