#pragma once
/// Reading documents, with lists too long to hold as a document: millions of operations.
/// The parser's events make a document; each element of a long list is read when it ends and taken
/// out, so that memory is that of the value and of one element. Errors are those of json_reader.
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/json/reader.hpp"

namespace shunt {

/// An element of a list while a document is read: what the parser has made of it so far, and the
/// way to it from the value that is read.
class json_part {
 public:
  /// A step into an object or a list.
  struct step {
    std::string key{};
    std::ptrdiff_t index = -1;  ///< of an element; -1: a key
  };
  json_part(nlohmann::json const& value, std::span<step const> way, std::size_t from = 0)
      : value_(&value), way_(way), from_(from) {}

  /// Whether this is an element of the value's list of that name, or of the value itself.
  [[nodiscard]] bool is_element_of(std::string_view list) const {
    return way_.size() == from_ + 2 && way_[from_].key == list && way_[from_ + 1].index >= 0;
  }
  [[nodiscard]] bool is_element() const {
    return way_.size() == from_ + 1 && way_[from_].index >= 0;
  }
  /// Whether this lies in the value of that key; `below` is then a part of that value.
  [[nodiscard]] bool is_in(std::string_view key) const {
    return way_.size() > from_ && way_[from_].key == key;
  }
  [[nodiscard]] json_part below() const { return {*value_, way_, from_ + 1}; }

  /// Returns a reader of the element, which must be the one after `taken` others.
  /// Throws invalid_problem where the list stands in the document twice.
  [[nodiscard]] json_reader after(std::size_t taken) const {
    std::string path;
    for (auto const& [key, index] : way_)
      path += index >= 0 ? "[" + std::to_string(index) + "]" : (path.empty() ? "" : ".") + key;
    json_reader const here(*value_, std::move(path));
    if (static_cast<std::size_t>(way_.back().index) != taken) here.refuse("is in a second list");
    return here;
  }

 private:
  nlohmann::json const* value_;
  std::span<step const> way_;
  std::size_t from_;  // steps to the value that is read
};

/// A value with lists that are too long to hold as a document: `take_part` takes an element while
/// the document is read, and says whether it did; `read_rest` reads what is left.
template <class T>
concept read_in_parts = requires(json_part const& part, json_reader const& here, T& value) {
  { take_part(part, value) } -> std::same_as<bool>;
  read_rest(here, value);
};

namespace detail {

/// Makes a document of events, less the elements that the value takes.
template <read_in_parts T>
class part_taker : public nlohmann::json_sax<nlohmann::json> {
 public:
  part_taker(T& value, std::string const& name) : value_(value), name_(name) {}

  nlohmann::json document{};

  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(std::int64_t v) override { return add(v); }
  bool number_unsigned(std::uint64_t v) override { return add(v); }
  bool number_float(double v, std::string const&) override { return add(v); }
  bool string(std::string& v) override { return add(std::move(v)); }
  bool binary(binary_t& v) override { return add(std::move(v)); }
  bool start_object(std::size_t) override { return open(nlohmann::json::object(), {}); }
  bool start_array(std::size_t) override { return open(nlohmann::json::array(), {.index = 0}); }
  bool key(std::string& k) override {
    way_.back().key = std::move(k);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, std::string const&,
                   nlohmann::json::exception const& error) override {
    throw invalid_problem(name_, std::string("is no JSON: ") + error.what());
  }

 private:
  nlohmann::json& put(nlohmann::json&& v) {
    if (open_.empty()) return document = std::move(v);
    auto& in = *open_.back();
    if (!in.is_array()) return in[way_.back().key] = std::move(v);
    in.push_back(std::move(v));
    return in.back();
  }
  bool add(nlohmann::json v) {
    ended(put(std::move(v)));
    return true;
  }
  bool open(nlohmann::json&& v, json_part::step first) {
    open_.push_back(&put(std::move(v)));
    way_.push_back(std::move(first));
    return true;
  }
  bool close() {
    auto const& v = *open_.back();
    open_.pop_back();
    way_.pop_back();
    ended(v);
    return true;
  }
  void ended(nlohmann::json const& v) {
    if (open_.empty() || !open_.back()->is_array()) return;
    if (take_part(json_part(v, way_), value_)) open_.back()->erase(open_.back()->size() - 1);
    ++way_.back().index;
  }

  T& value_;
  std::string const& name_;
  std::vector<nlohmann::json*> open_{};  // objects and lists, from the outermost
  std::vector<json_part::step> way_{};   // into each of them
};

}  // namespace detail

/// Reads one document. Of a value that is read in parts, no more than one element of its lists is
/// held as a document at a time.
/// Throws invalid_problem like parse_json, and for what the value's reader refuses.
template <class T>
[[nodiscard]] T read_json(std::istream& in, std::string const& name = "document") {
  T value;
  if constexpr (read_in_parts<T>) {
    begin_text(in, name);
    detail::part_taker<T> taker(value, name);
    nlohmann::json::sax_parse(in, &taker, nlohmann::json::input_format_t::json, false);
    if (!(in >> std::ws).eof()) throw invalid_problem(name, "has more after its end");
    read_rest(json_reader(taker.document), value);
  } else {
    auto const document = parse_json(in, name);
    read(json_reader(document), value);
  }
  return value;
}

}  // namespace shunt
