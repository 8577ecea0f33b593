#include "cli.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <deque>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace example {
namespace {

/// What to say of the first argument that looks like an option and is none, with the option that it
/// resembles most; nothing where there is no such argument.
std::optional<std::string> unknown_option(CLI::App const& app) {
  for (auto const& text : app.remaining()) {
    if (text.size() < 2 || text[0] != '-' || text == "--") continue;
    auto const name = text.substr(0, text.find('='));
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

}  // namespace

argument* argument::group(std::string const& heading) { return option_->group(heading), this; }
argument* argument::type_name(std::string const& name) { return option_->type_name(name), this; }
argument* argument::default_str(std::string const& text) {
  return option_->default_str(text), this;
}
argument* argument::capture_default_str() { return option_->capture_default_str(), this; }
argument* argument::envname(std::string const& variable) {
  return option_->envname(variable), this;
}
argument* argument::required() { return option_->required(), this; }
argument* argument::one_of(std::vector<std::string> const& values) {
  return option_->check(CLI::IsMember(values)), this;
}
argument* argument::excludes(argument const* other) {
  return option_->excludes(other->option_), this;
}
argument* argument::excludes(std::string const& other) { return option_->excludes(other), this; }
std::size_t argument::count() const { return option_->count(); }

struct argument_parser::parser {
  explicit parser(CLI::App& command) : app(command) {}
  explicit parser(std::string const& description)
      : own(std::make_unique<CLI::App>(description)), app(*own) {}

  std::unique_ptr<CLI::App> own{};
  CLI::App& app;
  std::deque<argument> arguments{};
  std::deque<argument_parser> commands{};
};

argument_parser::argument_parser(std::string const& description)
    : parser_(std::make_unique<parser>(description)) {}
argument_parser::argument_parser(std::unique_ptr<parser> of) : parser_(std::move(of)) {}
argument_parser::argument_parser(argument_parser&&) noexcept = default;
argument_parser::~argument_parser() = default;

argument* argument_parser::keep(CLI::Option* option) {
  return &parser_->arguments.emplace_back(argument(option));
}

template <class T>
argument* argument_parser::add_option(std::string const& names, T& target,
                                      std::string const& help) {
  return keep(parser_->app.add_option(names, target, help));
}
template argument* argument_parser::add_option(std::string const&, std::string&,
                                               std::string const&);
template argument* argument_parser::add_option(std::string const&, std::int32_t&,
                                               std::string const&);
template argument* argument_parser::add_option(std::string const&, std::int64_t&,
                                               std::string const&);
template argument* argument_parser::add_option(std::string const&, std::uint64_t&,
                                               std::string const&);
template argument* argument_parser::add_option(std::string const&, float&, std::string const&);
template argument* argument_parser::add_option(std::string const&, double&, std::string const&);

argument* argument_parser::add_flag(std::string const& names, bool& target,
                                    std::string const& help) {
  return keep(parser_->app.add_flag(names, target, help));
}
argument* argument_parser::add_option_function(std::string const& names,
                                               std::function<void(std::string const&)> take,
                                               std::string const& help) {
  return keep(parser_->app.add_option_function<std::string>(names, std::move(take), help));
}

void argument_parser::capture_defaults() {
  parser_->app.option_defaults()->always_capture_default();
}
std::string argument_parser::group(std::string const& heading) {
  auto* const defaults = parser_->app.option_defaults();
  auto before = defaults->get_group();
  defaults->group(heading);
  return before;
}
void argument_parser::footer(std::string const& text) { parser_->app.footer(text); }

argument_parser* argument_parser::add_subcommand(std::string const& name,
                                                 std::string const& description) {
  auto& app = parser_->app;
  app.require_subcommand(1);
  return &parser_->commands.emplace_back(
      argument_parser(std::make_unique<parser>(*app.add_subcommand(name, description))));
}
bool argument_parser::parsed() const { return parser_->app.parsed(); }

std::optional<int> argument_parser::parse(int argc, char const* const* argv) {
  try {
    parser_->app.parse(argc, argv);
  } catch (CLI::Success const& asked) {
    return parser_->app.exit(asked);
  } catch (CLI::ParseError const&) {
    if (auto const unknown = unknown_option(parser_->app)) throw std::invalid_argument(*unknown);
    for (auto const& command : parser_->commands)
      if (auto const unknown = unknown_option(command.parser_->app))
        throw std::invalid_argument(*unknown);
    throw;
  }
  return std::nullopt;
}

void require_option(std::string const& name) { throw CLI::RequiredError(name); }

std::size_t edit_distance(std::string_view a, std::string_view b) {
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

}  // namespace example
