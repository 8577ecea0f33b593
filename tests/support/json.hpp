#pragma once
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "shunt/core/error.hpp"
#include "shunt/json/parts.hpp"

namespace shunt::tests {

template <class T>
void expect_round_trip(T const& value) {
  nlohmann::json const document = value;
  EXPECT_EQ(document.get<T>(), value) << document.dump();
  std::istringstream text(document.dump());
  EXPECT_EQ(read_json<T>(text), value) << document.dump();
}

/// The path and the complaint with which a document is refused, or "" where it is not; its text is
/// refused with the same one.
template <class T>
std::string refusal(nlohmann::json const& document) {
  auto const complaint = [](auto const& read) -> std::string {
    try {
      static_cast<void>(read());
      return "";
    } catch (invalid_problem const& error) {
      return error.what();
    }
  };
  auto const refused = complaint([&] { return document.get<T>(); });
  EXPECT_EQ(complaint([&] {
              std::istringstream text(document.dump());
              return read_json<T>(text);
            }),
            refused)
      << document.dump();
  return refused;
}

}  // namespace shunt::tests
