#pragma once
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace shunt {

/// Prints an object with one key a line, and one line for each object in a list, so that people can
/// read long answers too. Of a long list one object at a time is in memory.
class json_printer {
 public:
  explicit json_printer(std::ostream& out) : out_(out) { out_ << "{"; }

  void field(std::string const& key, nlohmann::ordered_json const& value) {
    if (value.is_array() && !value.empty() && value.front().is_object())
      list(key, value, [&](auto const& element) { out_ << element; });
    else
      begin(key) << value;
  }
  /// A list of objects, each of which `print(item)` prints.
  template <class Items, class Print>
  void list(std::string const& key, Items const& items, Print const& print) {
    begin(key) << "[";
    char const* separator = "\n    ";
    bool any = false;
    for (auto const& item : items) {
      out_ << separator;
      separator = ",\n    ";
      print(item);
      any = true;
    }
    out_ << (any ? "\n  ]" : "]");
  }
  /// Ends the object. Nothing may follow.
  void end() { out_ << "\n}\n"; }

 private:
  std::ostream& begin(std::string const& key) {
    out_ << separator_ << nlohmann::ordered_json(key) << ": ";
    separator_ = ",\n  ";
    return out_;
  }

  std::ostream& out_;
  char const* separator_ = "\n  ";
};

/// Prints a whole object in this form.
inline void print_json(std::ostream& out, nlohmann::ordered_json const& object) {
  json_printer printer(out);
  for (auto const& [key, value] : object.items()) printer.field(key, value);
  printer.end();
}

/// Returns ids as a list of numbers.
template <class Ids>
[[nodiscard]] nlohmann::ordered_json numbers_of(Ids const& ids) {
  auto numbers = nlohmann::ordered_json::array();
  for (auto const& id : ids) numbers.push_back(id.value());
  return numbers;
}

}  // namespace shunt
