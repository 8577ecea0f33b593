#pragma once
#include <bit>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "shunt/json/reader.hpp"

namespace shunt {

/// A report of a worker process, as launch/report_line.hpp writes them.
/// All members that name a field throw invalid_problem, which names report and field, where it is
/// not there or does not fit.
class json_report {
 public:
  /// Returns the report of a line; nothing where the line is none.
  [[nodiscard]] static std::optional<json_report> of(std::string_view line) {
    auto document = nlohmann::json::parse(line, nullptr, false);
    if (!document.is_object()) return std::nullopt;
    auto const what = document.find("report");
    if (what == document.end() || !what->is_string()) return std::nullopt;
    return json_report(std::move(document));
  }

  /// Returns what is reported.
  [[nodiscard]] std::string const& what() const {
    return document_["report"].get_ref<std::string const&>();
  }
  [[nodiscard]] bool has(std::string_view field) const { return reader().has(field); }

  template <std::integral Integer = std::int64_t>
  [[nodiscard]] Integer integer(std::string_view field) const {
    return reader()[field].integer<Integer>();
  }
  /// Returns a number of the same bits as the one that was written.
  [[nodiscard]] double number(std::string_view field) const {
    auto const value = reader()[field];
    if (!value.is_text()) return value.number();
    auto const text = value.string();
    if (!text.starts_with("nan:")) return value.number();
    std::uint64_t bits = 0;
    auto const [end, failed] =
        std::from_chars(text.data() + 4, text.data() + text.size(), bits, 16);
    if (failed != std::errc{} || end != text.data() + text.size()) return value.number();
    return std::bit_cast<double>(bits);
  }
  [[nodiscard]] bool boolean(std::string_view field) const { return reader()[field].boolean(); }
  [[nodiscard]] std::string text(std::string_view field) const { return reader()[field].string(); }
  /// Returns a list of whole numbers or of ids.
  template <class T = std::int64_t>
  [[nodiscard]] std::vector<T> list(std::string_view field) const {
    std::vector<T> all;
    reader()[field].each([&](json_reader const& item) {
      if constexpr (std::integral<T>)
        all.push_back(item.integer<T>());
      else
        all.push_back(item.id<T>());
    });
    return all;
  }
  /// Returns the object that report_of (launch/report_line.hpp) has reported: fields(object, f),
  /// found beside its type, names its members.
  template <class T>
  [[nodiscard]] T object() const {
    T all;
    fields(all, [&]<class Value>(std::string_view name, Value& value) {
      if constexpr (std::same_as<Value, bool>)
        value = boolean(name);
      else if constexpr (std::integral<Value>)
        value = integer<Value>(name);
      else if constexpr (std::floating_point<Value>)
        value = number(name);
      else if constexpr (requires { value.push_back(value.front()); })
        value = list<typename Value::value_type>(name);
      else if (has(name))
        value = integer<typename Value::value_type>(name);
    });
    return all;
  }

 private:
  explicit json_report(nlohmann::json document) : document_(std::move(document)) {}
  [[nodiscard]] json_reader reader() const { return json_reader(document_, what()); }

  nlohmann::json document_;
};

}  // namespace shunt
