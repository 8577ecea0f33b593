#pragma once
#include <exception>
#include <functional>
#include <string>

#include "shunt/core/error.hpp"

namespace shunt::tests {

/// Returns the field that the call's invalid_problem names, and its text in `text`.
inline std::string field_of(std::function<void()> const& call, std::string* text = nullptr) {
  try {
    call();
  } catch (invalid_problem const& e) {
    if (text) *text = e.what();
    return e.field();
  }
  return "nothing thrown";
}

/// Returns the text of what the call throws.
inline std::string thrown_by(std::function<void()> const& call) {
  try {
    call();
  } catch (std::exception const& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace shunt::tests
