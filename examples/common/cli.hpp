#pragma once
/// What the example programs share on the command line: lists as values of options, and one way to
/// end. A program's result stands on standard output; whatever is wrong with its input is one line
/// on standard error, "error: field: what is wrong", and exit status 2.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/io/option_text.hpp"
#include "shunt/problem/per_pipeline.hpp"

namespace CLI {
class Option;
}

namespace example {

using shunt::halves_of, shunt::items_of, shunt::naming_options, shunt::option_of_field,
    shunt::parse_counts, shunt::parse_each, shunt::parse_factor, shunt::parse_integer,
    shunt::parse_integers, shunt::parse_list, shunt::parse_ranks, shunt::parse_size,
    shunt::parse_sizes, shunt::parse_worker, shunt::parse_workers, shunt::parse_workers_at,
    shunt::quoted_text, shunt::text_of, shunt::worker_at;

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

/// Throws invalid_problem, which names the field, where something is wrong.
inline void refuse_if(bool wrong, std::string const& field, std::string const& why) {
  if (wrong) throw shunt::invalid_problem(field, why);
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

/// Adds an option for counts of at least 1: one value, or one a pipeline. Its values are refused in
/// one line that names the pipeline.
inline argument* add_counts(argument_parser& app, std::string const& name,
                            shunt::per_pipeline& target, std::string const& help) {
  auto const take = [&target, name](std::string const& text) { target = parse_counts(name, text); };
  return app.add_option_function(name, take, help)
      ->type_name("N[,N...]")
      ->default_str(text_of(target));
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
