#pragma once
/// Reading JSON with errors that name the path in the document.
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <istream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/text_input.hpp"

namespace shunt {

/// A value in a JSON document with its path, such as "plan.order[3][2].kind".
/// All readers throw invalid_problem, which names the path and the text, where the value does not
/// fit. `only` refuses unknown keys.
class json_reader {
 public:
  explicit json_reader(nlohmann::json const& document, std::string path = {})
      : here_(&document), path_(std::move(path)) {}

  [[nodiscard]] std::string path() const { return path_.empty() ? "document" : path_; }
  [[noreturn]] void refuse(std::string const& why) const { throw invalid_problem(path(), why); }

  /// Returns the value of a required key; `has` tests for an optional one.
  [[nodiscard]] json_reader operator[](std::string_view key) const {
    auto const found = object().find(std::string(key));
    if (found == here_->end()) throw invalid_problem(under(key), "is missing");
    return json_reader(*found, under(key));
  }
  [[nodiscard]] bool has(std::string_view key) const { return object().contains(std::string(key)); }
  void only(std::initializer_list<std::string_view> keys) const {
    for (auto const& [key, value] : object().items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        throw invalid_problem(under(in_one_line(key)), "is not known here");
  }

  /// Calls f with a reader of each element, in order.
  template <class F>
  void each(F&& f) const {
    if (!here_->is_array()) refuse("must be a list, is " + shown());
    for (std::size_t i = 0; i < here_->size(); ++i)
      f(json_reader((*here_)[i], path_ + "[" + std::to_string(i) + "]"));
  }
  /// Returns an element of a list that must have `size` elements.
  [[nodiscard]] json_reader item(std::size_t i, std::size_t size) const {
    if (!here_->is_array() || here_->size() != size)
      refuse("must be a list of " + std::to_string(size) + " values, is " + shown());
    return json_reader((*here_)[i], path_ + "[" + std::to_string(i) + "]");
  }
  /// Returns the number of elements; 0 where this is no list.
  [[nodiscard]] std::size_t size() const { return is_list() ? here_->size() : 0; }
  [[nodiscard]] bool is_list() const { return here_->is_array(); }
  [[nodiscard]] bool is_number() const { return here_->is_number(); }
  [[nodiscard]] bool is_text() const { return here_->is_string(); }
  [[nodiscard]] bool is_text(std::string_view text) const {
    return here_->is_string() && here_->get_ref<std::string const&>() == text;
  }

  template <std::integral Integer>
  [[nodiscard]] Integer integer(Integer least = std::numeric_limits<Integer>::min(),
                                Integer most = std::numeric_limits<Integer>::max()) const {
    if (!here_->is_number_integer()) refuse("must be a whole number, is " + shown());
    bool const fits = here_->is_number_unsigned()
                          ? std::in_range<Integer>(here_->get<std::uint64_t>())
                          : std::in_range<Integer>(here_->get<std::int64_t>());
    auto const value = fits ? here_->get<Integer>() : Integer{};
    if (!fits || value > most) refuse(shown() + " is out of range");
    if (value < least) refuse("must be at least " + std::to_string(least) + ", is " + shown());
    return value;
  }
  template <class Id>
  [[nodiscard]] Id id() const {
    return integer<std::int32_t>();
  }
  /// Returns a number; also from "inf", "-inf" and "nan", which are no JSON numbers.
  [[nodiscard]] double number() const {
    if (here_->is_number()) return here_->get<double>();
    if (*here_ == "inf") return std::numeric_limits<double>::infinity();
    if (*here_ == "-inf") return -std::numeric_limits<double>::infinity();
    if (*here_ == "nan") return std::numeric_limits<double>::quiet_NaN();
    refuse("must be a number, is " + shown());
  }
  [[nodiscard]] bool boolean() const {
    if (!here_->is_boolean()) refuse("must be true or false, is " + shown());
    return here_->get<bool>();
  }
  [[nodiscard]] std::string string() const {
    if (!here_->is_string()) refuse("must be text, is " + shown());
    return here_->get<std::string>();
  }
  /// Returns the enumerator among 0 .. count-1 whose to_string is the text here.
  template <class Enum>
  [[nodiscard]] Enum name(int count) const {
    auto const text = string();
    for (int i = 0; i < count; ++i)
      if (to_string(static_cast<Enum>(i)) == text) return static_cast<Enum>(i);
    refuse(shown() + " is none of its names");
  }

 private:
  [[nodiscard]] nlohmann::json const& object() const {
    if (!here_->is_object()) refuse("must be an object, is " + shown());
    return *here_;
  }
  [[nodiscard]] std::string under(std::string_view key) const {
    return path_ + (path_.empty() ? "" : ".") + std::string(key);
  }
  [[nodiscard]] std::string shown() const {
    if (here_->is_structured())
      return (here_->is_array() ? "a list of " : "an object of ") + std::to_string(here_->size());
    return in_one_line(*here_);
  }
  /// Returns a value as JSON, cut to one short line of ASCII; a name as it is where it is plain.
  [[nodiscard]] static std::string in_one_line(nlohmann::json const& value) {
    auto text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return text.size() > 40 ? text.substr(0, 40) + "..." : text;
  }
  [[nodiscard]] static std::string in_one_line(std::string const& name) {
    bool const plain = name.size() <= 40 && std::all_of(name.begin(), name.end(),
                                                        [](char c) { return c > ' ' && c <= '~'; });
    return plain ? name : in_one_line(nlohmann::json(name));
  }

  nlohmann::json const* here_;
  std::string path_;
};

/// Returns a number as JSON for json_reader::number.
[[nodiscard]] inline nlohmann::json json_number(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/// Called by nlohmann's library for `document.get<T>()`, for every T of this library with a `read`.
template <class T>
  requires requires(json_reader const& here, T& value) { read(here, value); }
void from_json(nlohmann::json const& document, T& value) {
  read(json_reader(document), value);
}

/// Parses one document. The text begins like that of begin_text.
/// Throws invalid_problem, which names `name`, also for text that is no JSON or has more behind its
/// end.
[[nodiscard]] inline nlohmann::json parse_json(std::istream& in,
                                               std::string const& name = "document") {
  begin_text(in, name);
  nlohmann::json document;
  try {
    in >> document;
  } catch (nlohmann::json::exception const& error) {
    throw invalid_problem(name, std::string("is no JSON: ") + error.what());
  }
  if (!(in >> std::ws).eof()) throw invalid_problem(name, "has more after its end");
  return document;
}

}  // namespace shunt
