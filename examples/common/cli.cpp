#include "cli.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>

#include "shunt/core/units.hpp"

namespace example {

std::string quoted(std::string_view text) {
  std::string shown = '"' + std::string(text.substr(0, 40)) + (text.size() > 40 ? "…\"" : "\"");
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return shown;
}

std::int64_t parse_integer(std::string const& field, std::string_view text, std::int64_t least,
                           std::int64_t most) {
  std::int64_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error == std::errc::invalid_argument || end != text.data() + text.size())
    throw shunt::invalid_problem(field, quoted(text) + " is not a whole number");
  if (value > most || (error == std::errc::result_out_of_range && text.front() != '-'))
    throw shunt::invalid_problem(field, "must be at most " + std::to_string(most) + ", is " +
                                            std::string(text));
  if (value < least || error == std::errc::result_out_of_range)
    throw shunt::invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                            std::string(text));
  return value;
}

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  auto const* const end = text.data() + text.size();
  auto const read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::string_view> items_of(std::string_view text, char separator) {
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

template <class Parse>
std::vector<std::int64_t> parse_list(std::string const& field, std::string_view text,
                                     Parse&& parse) {
  auto const items = items_of(text);
  if (items.empty()) throw shunt::invalid_problem(field, "is empty");
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < items.size(); ++i)
    values.push_back(
        parse(items.size() == 1 ? field : field + "[" + std::to_string(i) + "]", items[i]));
  return values;
}

std::vector<std::int64_t> parse_integers(std::string const& field, std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_integer(name, item); });
}

std::vector<shunt::rank_id> parse_ranks(std::string const& field, std::string_view text) {
  std::vector<shunt::rank_id> ranks;
  for (auto const item : items_of(text))
    ranks.emplace_back(parse_integer(field + "[" + std::to_string(ranks.size()) + "]", item, 0,
                                     std::numeric_limits<std::int32_t>::max()));
  return ranks;
}

std::int64_t parse_size(std::string const& field, std::string_view text, std::int64_t least) {
  constexpr std::string_view units = "KMGT";
  auto const unit = text.empty() ? std::string_view::npos : units.find(text.back());
  auto const digits = text.substr(0, text.size() - (unit == std::string_view::npos ? 0 : 1));
  if (digits.empty() || digits.find_first_not_of("+-0123456789") != std::string_view::npos)
    throw shunt::invalid_problem(
        field, quoted(text) + " is not a whole number, with K, M, G or T behind it or without");
  if (unit == std::string_view::npos) return parse_integer(field, text, least);
  auto const scale = std::int64_t{1} << (10 * (unit + 1));
  auto const size = shunt::checked_multiply(parse_integer(field, digits), scale);
  if (!size) throw shunt::invalid_problem(field, "must be below 2^63, is " + std::string(text));
  if (*size < least)
    throw shunt::invalid_problem(field, "must be at least " + std::to_string(least) + ", is " +
                                            std::string(text));
  return *size;
}

std::vector<std::int64_t> parse_sizes(std::string const& field, std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_size(name, item); });
}

shunt::capacity_factor parse_factor(std::string const& field, std::string_view text) {
  auto const point = std::min(text.find('.'), text.size());
  auto const fraction = text.substr(std::min(point + 1, text.size()));
  auto const plain = std::string(text.substr(0, point)) + std::string(fraction);
  if (plain.empty() || plain.size() > 9 || fraction.size() > 6 ||
      plain.find_first_not_of("0123456789") != std::string::npos)
    throw shunt::invalid_problem(field, quoted(text) + " is not a number such as 1 or 1.25");
  shunt::capacity_factor factor{.numerator = parse_integer(field, plain)};
  for (std::size_t i = 0; i < fraction.size(); ++i) factor.denominator *= 10;
  return factor;
}

shunt::worker parse_worker(std::string const& field, std::string_view text) {
  auto const colon = text.find(':');
  if (colon == std::string_view::npos)
    throw shunt::invalid_problem(field, quoted(text) + " is not pipeline:stage");
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  return {parse_integer(field + " (pipeline)", text.substr(0, colon), 0, most),
          parse_integer(field + " (stage)", text.substr(colon + 1), 0, most)};
}

std::vector<shunt::worker> parse_workers(std::string const& field, std::string_view text) {
  std::vector<shunt::worker> workers;
  for (auto const item : items_of(text))
    workers.push_back(parse_worker(field + "[" + std::to_string(workers.size()) + "]", item));
  return workers;
}

std::vector<worker_at> parse_workers_at(std::string const& field, std::string_view text) {
  std::vector<worker_at> workers;
  for (auto const item : items_of(text)) {
    auto const name = field + "[" + std::to_string(workers.size()) + "]";
    auto const at = item.find('@');
    if (at == std::string_view::npos)
      throw shunt::invalid_problem(name, quoted(item) + " is not pipeline:stage@iteration");
    workers.push_back({parse_worker(name, item.substr(0, at)),
                       parse_integer(name + " (iteration)", item.substr(at + 1), 0)});
  }
  return workers;
}

std::string text_of(shunt::per_pipeline const& counts) {
  std::string text;
  for (std::int32_t const count : counts.values())
    text += (text.empty() ? "" : ",") + std::to_string(count);
  return text;
}

argument* add_counts(argument_parser& app, std::string const& name, shunt::per_pipeline& target,
                     std::string const& help) {
  auto const take = [&target, name](std::string const& text) {
    std::vector<std::int32_t> counts;
    for (std::int64_t const count : parse_list(name, text, [](auto const& field, auto item) {
           return parse_integer(field, item, 1, std::numeric_limits<std::int32_t>::max());
         }))
      counts.push_back(static_cast<std::int32_t>(count));
    target = shunt::per_pipeline(std::move(counts));
  };
  return app.add_option_function(name, take, help)
      ->type_name("N[,N...]")
      ->default_str(text_of(target));
}

int guarded(std::function<int()> const& body) {
  auto const refuse = [](std::string line) {
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::cout.flush();
    std::cerr << "error: " << line << std::endl;
    return 2;
  };
  try {
    int const status = body();
    if (!std::cout.flush()) throw std::runtime_error("standard output can't be written");
    return status;
  } catch (std::bad_alloc const&) {
    return refuse("the sizes asked for don't fit into this machine's memory");
  } catch (std::length_error const&) {
    return refuse("the sizes asked for don't fit into any memory");
  } catch (std::exception const& error) {
    return refuse(error.what());
  }
}

int guarded(argument_parser& app, int argc, char const* const* argv,
            std::function<int()> const& body) {
  return guarded([&] {
    if (auto const status = app.parse(argc, argv)) return *status;
    return body();
  });
}

}  // namespace example
