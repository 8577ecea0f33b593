#pragma once
/// What the example programs share on the command line: lists as values of options, and one way to
/// end. A program's result stands on standard output; whatever is wrong with its input is one line
/// on standard error, "error: field: what is wrong", and exit status 2.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <new>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace example {

/// A worker at an iteration, written pipeline:stage@iteration.
struct worker_at {
  shunt::worker who{};
  std::int64_t iteration = 0;
};

/// `text` in quotes and cut to a length that fits a line.
[[nodiscard]] inline std::string quoted(std::string_view text) {
  std::string shown = '"' + std::string(text.substr(0, 40)) + (text.size() > 40 ? "…\"" : "\"");
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return shown;
}

/// The whole number that `text` is, all of it. Throws invalid_problem, naming the field and the
/// text.
[[nodiscard]] inline std::int64_t parse_integer(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min(),
    std::int64_t most = std::numeric_limits<std::int64_t>::max()) {
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

/// `text` between separators. The empty text is the empty list; an empty item stays, for the parser
/// of items to refuse.
[[nodiscard]] inline std::vector<std::string_view> items_of(std::string_view text,
                                                            char separator = ',') {
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

/// The items of a list, each by `parse(field, text)`. Throws invalid_problem, naming the field and
/// the item.
template <class Parse>
[[nodiscard]] std::vector<std::int64_t> parse_list(std::string const& field, std::string_view text,
                                                   Parse&& parse) {
  auto const items = items_of(text);
  if (items.empty()) throw shunt::invalid_problem(field, "is empty");
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < items.size(); ++i)
    values.push_back(
        parse(items.size() == 1 ? field : field + "[" + std::to_string(i) + "]", items[i]));
  return values;
}

/// "3" or "3,3,4,2". Throws invalid_problem, naming the field and the item.
[[nodiscard]] inline std::vector<std::int64_t> parse_integers(std::string const& field,
                                                              std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_integer(name, item); });
}

/// "512", or "8G": K, M, G and T behind a number stand for 2^10, 2^20, 2^30 and 2^40. Throws
/// invalid_problem, naming the field and the text.
[[nodiscard]] inline std::int64_t parse_size(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min()) {
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

/// "8G" or "8G,8G,4G". Throws invalid_problem, naming the field and the item.
[[nodiscard]] inline std::vector<std::int64_t> parse_sizes(std::string const& field,
                                                           std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_size(name, item); });
}

/// "1:2": stage 2 of pipeline 1.
[[nodiscard]] inline shunt::worker parse_worker(std::string const& field, std::string_view text) {
  auto const colon = text.find(':');
  if (colon == std::string_view::npos)
    throw shunt::invalid_problem(field, quoted(text) + " is not pipeline:stage");
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  return {parse_integer(field + " (pipeline)", text.substr(0, colon), 0, most),
          parse_integer(field + " (stage)", text.substr(colon + 1), 0, most)};
}

/// "1:2,0:1"; the empty text is the empty list.
[[nodiscard]] inline std::vector<shunt::worker> parse_workers(std::string const& field,
                                                              std::string_view text) {
  std::vector<shunt::worker> workers;
  for (auto const item : items_of(text))
    workers.push_back(parse_worker(field + "[" + std::to_string(workers.size()) + "]", item));
  return workers;
}

/// "1:2@5,0:1@9"; the empty text is the empty list.
[[nodiscard]] inline std::vector<worker_at> parse_workers_at(std::string const& field,
                                                             std::string_view text) {
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

/// An option with one whole number in least..most; --help shows what `target` holds as its default.
template <class Integer>
CLI::Option* add_integer(CLI::App& app, std::string const& name, Integer& target,
                         std::string const& help, std::int64_t least,
                         std::int64_t most = std::numeric_limits<Integer>::max()) {
  auto const take = [&target, name, least, most](std::string const& text) {
    target = static_cast<Integer>(parse_integer(name, text, least, most));
  };
  return app.add_option_function<std::string>(name, take, help)
      ->type_name("N")
      ->default_str(std::to_string(target));
}

/// "6", or "6,6,4" where the pipelines have different counts.
[[nodiscard]] inline std::string text_of(shunt::per_pipeline const& counts) {
  std::string text;
  for (std::int32_t const count : counts.values())
    text += (text.empty() ? "" : ",") + std::to_string(count);
  return text;
}

/// Adds an option for counts of at least 1: one value, or one a pipeline. Its values are refused in
/// one line that names the pipeline.
inline CLI::Option* add_counts(CLI::App& app, std::string const& name, shunt::per_pipeline& target,
                               std::string const& help) {
  auto const take = [&target, name](std::string const& text) {
    std::vector<std::int32_t> counts;
    for (std::int64_t const count : parse_list(name, text, [](auto const& field, auto item) {
           return parse_integer(field, item, 1, std::numeric_limits<std::int32_t>::max());
         }))
      counts.push_back(static_cast<std::int32_t>(count));
    target = shunt::per_pipeline(std::move(counts));
  };
  return app.add_option_function<std::string>(name, take, help)
      ->type_name("N[,N...]")
      ->default_str(text_of(target));
}

/// A field of the library and the option that it comes from.
using option_of_field = std::pair<std::string_view, std::string_view>;

/// Returns what `body` returns. An invalid_problem that it throws names the option in place of the
/// field, "--forward[2]" for "costs.forward[2]".
template <class Options = std::initializer_list<option_of_field>, class Body>
decltype(auto) naming_options(Options const& options, Body&& body) {
  try {
    return body();
  } catch (shunt::invalid_problem const& error) {
    std::string_view const field = error.field();
    auto const whole = field.substr(0, field.find('['));
    for (auto const& [name, option] : options)
      if (name == whole)
        throw shunt::invalid_problem(std::string(option) + std::string(field.substr(whole.size())),
                                     std::string(error.what()).substr(field.size() + 2));
    throw;
  }
}

/// How many letters have to be changed, put in or left out to make one text of the other.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j)
      diagonal = std::exchange(
          row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] == b[j] ? 0 : 1)}));
  }
  return row.back();
}

/// What to say of the first argument that looks like an option and is none, with the option that it
/// resembles most; nothing where there is no such argument.
[[nodiscard]] inline std::optional<std::string> unknown_option(CLI::App const& app) {
  for (auto const& argument : app.remaining()) {
    if (argument.size() < 2 || argument[0] != '-' || argument == "--") continue;
    auto const name = argument.substr(0, argument.find('='));
    auto const bare = name.substr(std::min(name.find_first_not_of('-'), name.size()));
    if (bare.empty() || std::isdigit(static_cast<unsigned char>(bare[0]))) continue;
    std::string nearest;
    std::size_t least = 1 + bare.size() / 3;
    for (auto const* option : app.get_options()) {
      if (option->get_group().empty()) continue;  // hidden
      for (auto const& known : option->get_lnames()) {
        bool const begun = bare.size() > 2 && known.starts_with(bare);
        if (auto const distance = begun ? 0 : edit_distance(bare, known); distance < least) {
          nearest = known;
          least = distance;
        }
      }
    }
    return name + ": is no option here" +
           (nearest.empty() ? "; --help lists all" : ", did you mean --" + nearest + "?");
  }
  return std::nullopt;
}

/// Runs `body`, which returns the exit status; any exception, and output that can't be written,
/// becomes one line on standard error and status 2.
template <class Body>
[[nodiscard]] int guarded(Body&& body) {
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

/// The same for a whole program: parses the command line first, and answers --help with status 0.
template <class Body>
[[nodiscard]] int guarded(CLI::App& app, int argc, char** argv, Body&& body) {
  return guarded([&]() -> int {
    try {
      app.parse(argc, argv);
    } catch (CLI::Success const& asked) {
      return app.exit(asked);
    } catch (CLI::ParseError const&) {
      if (auto const unknown = unknown_option(app)) throw std::invalid_argument(*unknown);
      throw;
    }
    return body();
  });
}

}  // namespace example
