#pragma once
/// What the example programs share on the command line: lists as values of options, and one way to
/// end. A program's result stands on standard output; whatever is wrong with its input is one line
/// on standard error, "error: field: what is wrong", and exit status 2.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace CLI {
class Option;
}

namespace example {

/// An option of a program. Its argument_parser owns it.
class argument {
 public:
  argument* group(std::string const& heading);  ///< "" hides the option
  argument* type_name(std::string const& name);
  argument* default_str(std::string const& text);
  argument* capture_default_str();
  argument* envname(std::string const& variable);
  argument* required();
  /// The value must be one of these.
  argument* one_of(std::vector<std::string> const& values);
  /// These options can't be given with this one.
  argument* excludes(argument const* other);
  argument* excludes(std::string const& other);
  template <class... More>
  argument* excludes(argument const* other, More const*... more) {
    return excludes(other)->excludes(more...);
  }
  /// How often the option is given.
  std::size_t count() const;

 private:
  friend class argument_parser;
  explicit argument(CLI::Option* option) : option_(option) {}
  CLI::Option* option_;
};

/// The command line of a program. CLI11, which reads it, is compiled once for all programs.
class argument_parser {
 public:
  explicit argument_parser(std::string const& description = "");
  argument_parser(argument_parser&&) noexcept;
  ~argument_parser();

  /// An option, names as "--rows,--lines", whose value goes to `target`: a string, std::int32_t,
  /// std::int64_t, std::uint64_t, float or double.
  template <class T>
  argument* add_option(std::string const& names, T& target, std::string const& help = "");
  argument* add_flag(std::string const& names, bool& target, std::string const& help = "");
  /// An option whose value is what `take` makes of the text. It may throw.
  argument* add_option_function(std::string const& names,
                                std::function<void(std::string const&)> take,
                                std::string const& help = "");
  /// From now on --help shows what the targets of new options hold as their defaults.
  void capture_defaults();
  /// From now on new options stand under this heading. Returns the one until now.
  std::string group(std::string const& heading);
  /// What --help ends with.
  void footer(std::string const& text);
  /// Adds a command, "program name ...", with options of its own. One of them must be given.
  argument_parser* add_subcommand(std::string const& name, std::string const& description);
  /// Whether this command is given.
  bool parsed() const;

  /// Returns the exit status where the arguments ask for nothing but help.
  /// Throws std::exception where they are wrong. Of an option that isn't there it names the one
  /// that resembles it most.
  std::optional<int> parse(int argc, char const* const* argv);

 private:
  struct parser;
  explicit argument_parser(std::unique_ptr<parser> of);
  argument* keep(CLI::Option* option);

  std::unique_ptr<parser> parser_;
};

/// Throws the exception of an option that must be given and isn't.
[[noreturn]] void require_option(std::string const& name);

/// How many letters have to be changed, put in or left out to make one text of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// A worker at an iteration, written pipeline:stage@iteration.
struct worker_at {
  shunt::worker who{};
  std::int64_t iteration = 0;
};

/// `text` in quotes and cut to a length that fits a line.
inline std::string quoted(std::string_view text) {
  std::string shown = '"' + std::string(text.substr(0, 40)) + (text.size() > 40 ? "…\"" : "\"");
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return shown;
}

/// Throws invalid_problem, which names the field, where something is wrong.
inline void refuse_if(bool wrong, std::string const& field, std::string const& why) {
  if (wrong) throw shunt::invalid_problem(field, why);
}

/// The whole number that `text` is, all of it. Throws invalid_problem, naming the field and the
/// text.
inline std::int64_t parse_integer(std::string const& field, std::string_view text,
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
inline std::vector<std::string_view> items_of(std::string_view text, char separator = ',') {
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

/// The items of a list: parse(name, item) of each, where the first is named "field[0]".
template <class Parse>
auto parse_each(std::string const& field, std::string_view text, Parse const& parse,
                char separator = ',') {
  std::vector<decltype(parse(field, text))> all;
  for (auto const item : items_of(text, separator))
    all.push_back(parse(field + "[" + std::to_string(all.size()) + "]", item));
  return all;
}

/// What stands before and behind a separator. Throws invalid_problem, which names the field and
/// says what is wanted, where there is none.
inline std::pair<std::string_view, std::string_view> halves_of(std::string const& field,
                                                               std::string_view text,
                                                               char separator,
                                                               std::string const& wanted) {
  auto const at = text.find(separator);
  refuse_if(at == std::string_view::npos, field, quoted(text) + " is not " + wanted);
  return {text.substr(0, at), text.substr(at + 1)};
}

/// The same where a list of one item has the field's name. Throws invalid_problem for an empty one.
template <class Parse>
auto parse_list(std::string const& field, std::string_view text, Parse const& parse) {
  refuse_if(text.empty(), field, "is empty");
  return parse_each(field, text, [&](std::string const& name, std::string_view item) {
    return parse(item.size() == text.size() ? field : name, item);
  });
}

inline constexpr std::int64_t most_ids = std::numeric_limits<std::int32_t>::max();

/// "3" or "3,3,4,2". Throws invalid_problem, naming the field and the item.
inline std::vector<std::int64_t> parse_integers(std::string const& field, std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_integer(name, item); });
}

/// "2,4"; the empty text is the empty list. Throws invalid_problem, naming the field and the item.
inline std::vector<shunt::rank_id> parse_ranks(std::string const& field, std::string_view text) {
  return parse_each(field, text, [](std::string const& name, std::string_view item) {
    return shunt::rank_id(parse_integer(name, item, 0, most_ids));
  });
}

/// "512", or "8G": K, M, G and T behind a number stand for 2^10, 2^20, 2^30 and 2^40. Throws
/// invalid_problem, naming the field and the text.
inline std::int64_t parse_size(std::string const& field, std::string_view text,
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
inline std::vector<std::int64_t> parse_sizes(std::string const& field, std::string_view text) {
  return parse_list(field, text,
                    [](auto const& name, auto item) { return parse_size(name, item); });
}

/// "1", "1.25": digits with at most six behind the point. Throws invalid_problem, naming the field
/// and the text.
inline shunt::capacity_factor parse_factor(std::string const& field, std::string_view text) {
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

/// "1:2": stage 2 of pipeline 1.
inline shunt::worker parse_worker(std::string const& field, std::string_view text) {
  auto const [pipeline, stage] = halves_of(field, text, ':', "pipeline:stage");
  return {parse_integer(field + " (pipeline)", pipeline, 0, most_ids),
          parse_integer(field + " (stage)", stage, 0, most_ids)};
}

/// "1:2,0:1"; the empty text is the empty list.
inline std::vector<shunt::worker> parse_workers(std::string const& field, std::string_view text) {
  return parse_each(field, text, parse_worker);
}

/// "1:2@5,0:1@9"; the empty text is the empty list.
inline std::vector<worker_at> parse_workers_at(std::string const& field, std::string_view text) {
  return parse_each(field, text, [](std::string const& name, std::string_view item) {
    auto const [who, when] = halves_of(name, item, '@', "pipeline:stage@iteration");
    return worker_at{parse_worker(name, who), parse_integer(name + " (iteration)", when, 0)};
  });
}

/// An option with one whole number in least..most; --help shows what `target` holds as its default.
template <class Integer>
argument* add_integer(argument_parser& app, std::string const& name, Integer& target,
                      std::string const& help, std::int64_t least,
                      std::int64_t most = std::numeric_limits<Integer>::max()) {
  auto const take = [&target, name, least, most](std::string const& text) {
    target = static_cast<Integer>(parse_integer(name, text, least, most));
  };
  return app.add_option_function(name, take, help)
      ->type_name("N")
      ->default_str(std::to_string(target));
}

/// "6", or "6,6,4" where the pipelines have different counts.
inline std::string text_of(shunt::per_pipeline const& counts) {
  std::string text;
  for (std::int32_t const count : counts.values())
    text += (text.empty() ? "" : ",") + std::to_string(count);
  return text;
}

/// Adds an option for counts of at least 1: one value, or one a pipeline. Its values are refused in
/// one line that names the pipeline.
inline argument* add_counts(argument_parser& app, std::string const& name,
                            shunt::per_pipeline& target, std::string const& help) {
  auto const take = [&target, name](std::string const& text) {
    target = shunt::per_pipeline(parse_list(name, text, [](auto const& field, auto item) {
      return static_cast<std::int32_t>(parse_integer(field, item, 1, most_ids));
    }));
  };
  return app.add_option_function(name, take, help)
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

/// Runs `body`, which returns the exit status; any exception, and output that can't be written,
/// becomes one line on standard error and status 2.
inline int guarded(std::function<int()> const& body) {
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
inline int guarded(argument_parser& app, int argc, char const* const* argv,
                   std::function<int()> const& body) {
  return guarded([&] {
    if (auto const status = app.parse(argc, argv)) return *status;
    return body();
  });
}

/// The names of a table's entries, for argument::one_of.
template <class Table>
std::vector<std::string> names_of(Table const& table) {
  std::vector<std::string> all;
  for (auto const& entry : table) all.emplace_back(entry.name);
  return all;
}

/// The entry of this name, which is there.
template <class Table>
auto const& named(Table const& table, std::string_view name) {
  return *std::find_if(table.begin(), table.end(),
                       [&](auto const& entry) { return entry.name == name; });
}

}  // namespace example
