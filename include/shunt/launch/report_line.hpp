#pragma once
/// What a worker process reports: one line of JSON each, with named fields, such as
/// {"report":"iteration","iteration":3,"loss":2.5}. They are read by json/report.hpp.
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

namespace shunt {

/// A report that is being written. Numbers read back as the same bits: a double that is no JSON
/// number is the text "inf", "-inf", "nan", or "nan:" and its bits in hexadecimal.
class report_line {
 public:
  /// `report` says what is reported.
  explicit report_line(std::string_view report) { with("report", report); }

  report_line& with(std::string_view name, std::string_view text);
  report_line& with(std::string_view name, char const* text) {
    return with(name, std::string_view(text));
  }
  report_line& with(std::string_view name, double value);
  template <std::integral Integer>
  report_line& with(std::string_view name, Integer value) {
    begin(name);
    if constexpr (std::same_as<Integer, bool>)
      body_ += value ? "true" : "false";
    else
      body_ += std::to_string(value);
    return *this;
  }
  /// A list of whole numbers or of ids.
  template <class List>
    requires requires(List const& list) { list.begin() != list.end(); } &&
             (!std::convertible_to<List, std::string_view>)
  report_line& with(std::string_view name, List const& list) {
    begin(name);
    char const* before = "[";
    for (auto const& item : list) {
      body_ += before;
      if constexpr (std::integral<std::remove_cvref_t<decltype(item)>>)
        body_ += std::to_string(item);
      else
        body_ += std::to_string(item.value());
      before = ",";
    }
    body_ += *before == '[' ? "[]" : "]";
    return *this;
  }

  /// Returns the line with its end.
  [[nodiscard]] std::string text() const { return body_ + "}\n"; }

 private:
  void begin(std::string_view name);

  std::string body_{};
};

/// Returns a report of what an object has: fields(object, f), found beside its type, calls
/// f(name, member) for each member that is reported. An optional member without a value is left
/// out.
template <class T>
[[nodiscard]] report_line report_of(std::string_view report, T object) {
  report_line line(report);
  fields(object, [&](std::string_view name, auto const& value) {
    if constexpr (!requires { value.has_value(); })
      line.with(name, value);
    else if (value)
      line.with(name, *value);
  });
  return line;
}

/// Returns what a line reports, as report_line writes it; empty where the line is none.
[[nodiscard]] std::string_view reported(std::string_view line);

/// Takes a worker's reports.
using report_sink = std::function<void(report_line const&)>;

/// Returns a sink that writes each report into a pipe at once: it is heard even if this process is
/// killed right after.
/// The sink throws runtime_error where a line cannot be written.
[[nodiscard]] report_sink report_to(int descriptor);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/report_line.ipp"
#endif
