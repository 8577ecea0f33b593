#pragma once
#include <nlohmann/json.hpp>
#include <ostream>

namespace example {

/// Prints an object with one key a line, and one line for each object in a list, so that people can
/// read long answers too.
void print_json(std::ostream& out, nlohmann::ordered_json const& object);

}  // namespace example
