#pragma once
/// Values of a program's options, as people write them: numbers, sizes, lists, workers. All throw
/// invalid_problem, which names the field, with the item of a list ("--kill[1]"), and shows the
/// text.
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/problem/per_pipeline.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/routed_tokens.hpp"

namespace shunt {

/// Returns a text in quotes as refusals show it: in one line, and at most 40 bytes of it.
[[nodiscard]] std::string quoted_text(std::string_view text);

/// Returns the whole number that `text` is, all of it.
[[nodiscard]] std::int64_t parse_integer(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min(),
    std::int64_t most = std::numeric_limits<std::int64_t>::max());

/// Returns the number of "512", or of "8G": K, M, G and T behind a number stand for 2^10, 2^20,
/// 2^30 and 2^40.
[[nodiscard]] std::int64_t parse_size(
    std::string const& field, std::string_view text,
    std::int64_t least = std::numeric_limits<std::int64_t>::min());

/// Returns the factor of "1" or "1.25": digits, at most six of them behind the point.
[[nodiscard]] capacity_factor parse_factor(std::string const& field, std::string_view text);

/// Returns the parts of a text between separators. The empty text is the empty list. An empty item
/// stays, for the parser of items to refuse.
[[nodiscard]] std::vector<std::string_view> items_of(std::string_view text, char separator = ',');

/// Returns what stands before and behind the first separator. `wanted` is said where there is none.
[[nodiscard]] std::pair<std::string_view, std::string_view> halves_of(std::string const& field,
                                                                      std::string_view text,
                                                                      char separator,
                                                                      std::string const& wanted);

/// Returns `parse(name, item)` of each item of a list; the first is named "field[0]".
template <class Parse>
[[nodiscard]] auto parse_each(std::string const& field, std::string_view text, Parse const& parse,
                              char separator = ',') {
  std::vector<decltype(parse(field, text))> all;
  for (auto const item : items_of(text, separator))
    all.push_back(parse(field + "[" + std::to_string(all.size()) + "]", item));
  return all;
}

/// The same of a list that is not empty. One item alone has the field's name.
template <class Parse>
[[nodiscard]] auto parse_list(std::string const& field, std::string_view text, Parse const& parse) {
  if (text.empty()) throw invalid_problem(field, "is empty");
  return parse_each(field, text, [&](std::string const& name, std::string_view item) {
    return parse(item.size() == text.size() ? field : name, item);
  });
}

/// Returns the numbers of "3" or "3,3,4,2"; parse_sizes takes "512M,8G" as well.
[[nodiscard]] std::vector<std::int64_t> parse_integers(std::string const& field,
                                                       std::string_view text);
[[nodiscard]] std::vector<std::int64_t> parse_sizes(std::string const& field,
                                                    std::string_view text);
/// Returns the counts of "6" or "6,6,4", each at least 1: of all pipelines, or one a pipeline.
[[nodiscard]] per_pipeline parse_counts(std::string const& field, std::string_view text);
/// Returns how parse_counts reads it.
[[nodiscard]] std::string text_of(per_pipeline const& counts);

/// Returns the ranks of "2,4"; none of the empty text.
[[nodiscard]] std::vector<rank_id> parse_ranks(std::string const& field, std::string_view text);

/// Returns stage 2 of pipeline 1 for "1:2".
[[nodiscard]] worker parse_worker(std::string const& field, std::string_view text);
/// Returns the workers of "1:2,0:1"; none of the empty text.
[[nodiscard]] std::vector<worker> parse_workers(std::string const& field, std::string_view text);

/// A worker at an iteration, written pipeline:stage@iteration.
struct worker_at {
  worker who{};
  std::int64_t iteration = 0;
};

/// Returns those of "1:2@5,0:1@9"; none of the empty text.
[[nodiscard]] std::vector<worker_at> parse_workers_at(std::string const& field,
                                                      std::string_view text);

/// A field of a problem and the option that it comes from.
using option_of_field = std::pair<std::string_view, std::string_view>;

/// Returns what `body()` returns. An invalid_problem that it throws names the option in place of
/// the field, "--forward[2]" for "costs.forward[2]".
template <class Options = std::initializer_list<option_of_field>, class Body>
decltype(auto) naming_options(Options const& options, Body&& body) {
  try {
    return body();
  } catch (invalid_problem const& error) {
    std::string_view const field = error.field();
    auto const whole = field.substr(0, field.find('['));
    for (auto const& [name, option] : options)
      if (name == whole)
        throw invalid_problem(std::string(option) + std::string(field.substr(whole.size())),
                              std::string(error.what()).substr(field.size() + 2));
    throw;
  }
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/option_text.ipp"
#endif
