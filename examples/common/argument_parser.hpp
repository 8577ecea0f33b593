#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  [[nodiscard]] std::size_t count() const;

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
  /// What --help ends with.
  void footer(std::string const& text);
  /// Adds a command, "program name ...", with options of its own. One of them must be given.
  argument_parser* add_subcommand(std::string const& name, std::string const& description);
  /// Whether this command is given.
  [[nodiscard]] bool parsed() const;

  /// Returns the exit status where the arguments ask for nothing but help.
  /// Throws std::exception where they are wrong. Of an option that isn't there it names the one
  /// that resembles it most.
  [[nodiscard]] std::optional<int> parse(int argc, char const* const* argv);

 private:
  struct parser;
  explicit argument_parser(std::unique_ptr<parser> of);
  argument* keep(CLI::Option* option);

  std::unique_ptr<parser> parser_;
};

/// Throws the exception of an option that must be given and isn't.
[[noreturn]] void require_option(std::string const& name);

/// How many letters have to be changed, put in or left out to make one text of the other.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace example
