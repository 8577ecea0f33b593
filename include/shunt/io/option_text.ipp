#pragma once
#include "shunt/io/option_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/units.hpp"

namespace shunt {
namespace detail {

inline constexpr std::int64_t most_ids = std::numeric_limits<std::int32_t>::max();

}  // namespace detail

SHUNT_INLINE std::string quoted_text(std::string_view text) {
  std::string shown = '"' + std::string(text.substr(0, 40)) + (text.size() > 40 ? "…\"" : "\"");
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return shown;
}

SHUNT_INLINE std::int64_t parse_integer(std::string const& field, std::string_view text,
                                        std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error == std::errc::invalid_argument || end != text.data() + text.size())
    throw invalid_problem(field, quoted_text(text) + " is not a whole number");
  if (value > most || (error == std::errc::result_out_of_range && text.front() != '-'))
    throw invalid_problem(field,
                          "must be at most " + std::to_string(most) + ", is " + std::string(text));
  if (value < least || error == std::errc::result_out_of_range)
    throw invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                     std::string(text));
  return value;
}

SHUNT_INLINE std::int64_t parse_size(std::string const& field, std::string_view text,
                                     std::int64_t least) {
  constexpr std::string_view units = "KMGT";
  auto const unit = text.empty() ? std::string_view::npos : units.find(text.back());
  auto const digits = text.substr(0, text.size() - (unit == std::string_view::npos ? 0 : 1));
  if (digits.empty() || digits.find_first_not_of("+-0123456789") != std::string_view::npos)
    throw invalid_problem(field, quoted_text(text) +
                                     " is not a whole number, with K, M, G or T behind it or "
                                     "without");
  if (unit == std::string_view::npos) return parse_integer(field, text, least);
  auto const scale = std::int64_t{1} << (10 * (unit + 1));
  auto const size = checked_multiply(parse_integer(field, digits), scale);
  if (!size) throw invalid_problem(field, "must be below 2^63, is " + std::string(text));
  if (*size < least)
    throw invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                     std::string(text));
  return *size;
}

SHUNT_INLINE capacity_factor parse_factor(std::string const& field, std::string_view text) {
  auto const point = std::min(text.find('.'), text.size());
  auto const fraction = text.substr(std::min(point + 1, text.size()));
  auto const plain = std::string(text.substr(0, point)) + std::string(fraction);
  if (plain.empty() || plain.size() > 9 || fraction.size() > 6 ||
      plain.find_first_not_of("0123456789") != std::string::npos)
    throw invalid_problem(field, quoted_text(text) + " is not a number such as 1 or 1.25");
  capacity_factor factor{.numerator = parse_integer(field, plain)};
  for (std::size_t i = 0; i < fraction.size(); ++i) factor.denominator *= 10;
  return factor;
}

SHUNT_INLINE std::vector<std::string_view> items_of(std::string_view text, char separator) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    auto const at = text.find(separator);
    items.push_back(text.substr(0, at));
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + 1);
    if (text.empty()) items.push_back(text);
  }
  return items;
}

SHUNT_INLINE std::pair<std::string_view, std::string_view> halves_of(std::string const& field,
                                                                     std::string_view text,
                                                                     char separator,
                                                                     std::string const& wanted) {
  auto const at = text.find(separator);
  if (at == std::string_view::npos)
    throw invalid_problem(field, quoted_text(text) + " is not " + wanted);
  return {text.substr(0, at), text.substr(at + 1)};
}

SHUNT_INLINE std::vector<std::int64_t> parse_integers(std::string const& field,
                                                      std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_integer(name, item); });
}

SHUNT_INLINE std::vector<std::int64_t> parse_sizes(std::string const& field,
                                                   std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_size(name, item); });
}

SHUNT_INLINE per_pipeline parse_counts(std::string const& field, std::string_view text) {
  return per_pipeline(parse_list(field, text, [](auto const& name, auto item) {
    return static_cast<std::int32_t>(parse_integer(name, item, 1, detail::most_ids));
  }));
}

SHUNT_INLINE std::string text_of(per_pipeline const& counts) {
  std::string text;
  for (std::int32_t const count : counts.values())
    text += (text.empty() ? "" : ",") + std::to_string(count);
  return text;
}

SHUNT_INLINE std::vector<rank_id> parse_ranks(std::string const& field, std::string_view text) {
  return parse_each(field, text, [](auto const& name, auto item) {
    return rank_id(parse_integer(name, item, 0, detail::most_ids));
  });
}

SHUNT_INLINE worker parse_worker(std::string const& field, std::string_view text) {
  auto const [pipeline, stage] = halves_of(field, text, ':', "pipeline:stage");
  return {parse_integer(field + " (pipeline)", pipeline, 0, detail::most_ids),
          parse_integer(field + " (stage)", stage, 0, detail::most_ids)};
}

SHUNT_INLINE std::vector<worker> parse_workers(std::string const& field, std::string_view text) {
  return parse_each(field, text, parse_worker);
}

SHUNT_INLINE std::vector<worker_at> parse_workers_at(std::string const& field,
                                                     std::string_view text) {
  return parse_each(field, text, [](std::string const& name, std::string_view item) {
    auto const [who, when] = halves_of(name, item, '@', "pipeline:stage@iteration");
    return worker_at{parse_worker(name, who), parse_integer(name + " (iteration)", when, 0)};
  });
}

}  // namespace shunt
