#pragma once
/// Fields of one line of a CSV.
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shunt {

/// Splits a line at its commas. Blanks around a field do not belong to it. A field may stand in
/// double quotes, as CSV writers put it: a comma inside belongs to it, two quotes inside are one.
/// The fields are views of `line`, which is changed where quotes are doubled.
/// Throws invalid_problem, which names `at` and the column (from 1), for a quote that has no end,
/// and for text behind the end of one.
[[nodiscard]] std::vector<std::string_view> csv_fields(std::string& line, std::string const& at);

/// Returns the whole number that a field says: digits, or a decimal number without a fraction, such
/// as 2.499e+04. All digits count: nothing is rounded.
/// Throws invalid_problem, which names `at` and the field: for text, for a number with a fraction,
/// beyond 64 bits, or below `least`.
[[nodiscard]] std::int64_t parse_whole_number(
    std::string_view field, std::string const& at,
    std::int64_t least = std::numeric_limits<std::int64_t>::min());

/// Returns a field in quotes as refusals show it: at most 40 bytes, in one line.
[[nodiscard]] std::string quoted_field(std::string_view field);

/// Returns the finite number that a field says, all of it; nothing for other text.
[[nodiscard]] std::optional<double> finite_number(std::string_view field);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/csv_fields.ipp"
#endif
