#pragma once
#include <stdexcept>
#include <string>

namespace shunt {

/// Thrown for a problem that no plan can be asked for, such as a size of zero, a negative cost or a
/// sum beyond 64 bits. `what()` is one line, "field: what is wrong". `field()` is the broken part,
/// for example "costs.forward[2]".
class invalid_problem : public std::invalid_argument {
 public:
  invalid_problem(std::string field, std::string const& what);

  [[nodiscard]] std::string const& field() const noexcept { return field_; }

 private:
  std::string field_;
};

/// Thrown for a program that cannot be made or run: made for another number of ranks, or with
/// buffers that the work lacks.
class invalid_program : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/error.ipp"
#endif
