#pragma once
/// What the example programs share on the command line: lists as values of options, and one way to
/// end. A program's result stands on standard output; whatever is wrong with its input is one line
/// on standard error, "error: field: what is wrong", and exit status 2.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "argument_parser.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace example {

/// A worker at an iteration, written pipeline:stage@iteration.
struct worker_at {
  shunt::worker who{};
  std::int64_t iteration = 0;
};

/// `text` in quotes and cut to a length that fits a line.
[[nodiscard]] std::string quoted(std::string_view text);

/// The whole number that `text` is, all of it. Throws invalid_problem, naming the field and the
/// text.
[[nodiscard]] std::int64_t parse_integer(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min(),
    std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// The finite number that `text` is, all of it; nothing where it is none.
[[nodiscard]] std::optional<double> number_of(std::string_view text);

/// `text` between separators. The empty text is the empty list; an empty item stays, for the parser
/// of items to refuse.
[[nodiscard]] std::vector<std::string_view> items_of(std::string_view text, char separator = ',');

/// "3" or "3,3,4,2". Throws invalid_problem, naming the field and the item.
[[nodiscard]] std::vector<std::int64_t> parse_integers(std::string const& field,
                                                       std::string_view text);

/// "2,4"; the empty text is the empty list. Throws invalid_problem, naming the field and the item.
[[nodiscard]] std::vector<shunt::rank_id> parse_ranks(std::string const& field,
                                                      std::string_view text);

/// "512", or "8G": K, M, G and T behind a number stand for 2^10, 2^20, 2^30 and 2^40. Throws
/// invalid_problem, naming the field and the text.
[[nodiscard]] std::int64_t parse_size(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min());

/// "8G" or "8G,8G,4G". Throws invalid_problem, naming the field and the item.
[[nodiscard]] std::vector<std::int64_t> parse_sizes(std::string const& field,
                                                    std::string_view text);

/// "1", "1.25": digits with at most six behind the point. Throws invalid_problem, naming the field
/// and the text.
[[nodiscard]] shunt::capacity_factor parse_factor(std::string const& field, std::string_view text);

/// "1:2": stage 2 of pipeline 1.
[[nodiscard]] shunt::worker parse_worker(std::string const& field, std::string_view text);

/// "1:2,0:1"; the empty text is the empty list.
[[nodiscard]] std::vector<shunt::worker> parse_workers(std::string const& field,
                                                       std::string_view text);

/// "1:2@5,0:1@9"; the empty text is the empty list.
[[nodiscard]] std::vector<worker_at> parse_workers_at(std::string const& field,
                                                      std::string_view text);

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
[[nodiscard]] std::string text_of(shunt::per_pipeline const& counts);

/// Adds an option for counts of at least 1: one value, or one a pipeline. Its values are refused in
/// one line that names the pipeline.
argument* add_counts(argument_parser& app, std::string const& name, shunt::per_pipeline& target,
                     std::string const& help);

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
[[nodiscard]] int guarded(std::function<int()> const& body);

/// The same for a whole program: parses the command line first, and answers --help with status 0.
[[nodiscard]] int guarded(argument_parser& app, int argc, char const* const* argv,
                          std::function<int()> const& body);

}  // namespace example
