#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "shunt/core/error.hpp"
#include <vector>

namespace shunt::tests::fuzz {

/// Numbers from the bytes of an input. At its end all numbers are the lowest of their range.
class bytes {
 public:
  bytes(std::uint8_t const* data, std::size_t size) : at_(data), left_(size) {}

  /// Returns a number from `low` to `high`, both included.
  std::int32_t roll(std::int32_t low, std::int32_t high) {
    auto const range = static_cast<std::uint64_t>(std::int64_t{high} - low) + 1;
    return static_cast<std::int32_t>(low +
                                     static_cast<std::int64_t>(take(range > 256 ? 4 : 1) % range));
  }
  /// Returns any number of 64 bits; small ones are frequent.
  std::int64_t any() {
    switch (take(1) % 4) {
      case 0: return static_cast<std::int64_t>(take(8));
      case 1: return static_cast<std::int64_t>(take(4));
      default: return static_cast<std::int64_t>(take(1));
    }
  }
  bool flip() { return (take(1) & 1) != 0; }
  [[nodiscard]] bool empty() const { return left_ == 0; }
  /// Returns the rest as text.
  std::string text() {
    std::string all(reinterpret_cast<char const*>(at_), left_);
    left_ = 0;
    return all;
  }

 private:
  std::uint64_t take(std::size_t count) {
    std::uint64_t value = 0;
    for (; count > 0 && left_ > 0; --count, --left_) value = value << 8 | *at_++;
    return value;
  }

  std::uint8_t const* at_;
  std::size_t left_;
};

/// Ends the program with a message unless a law holds.
inline void require(bool holds, std::string_view law, std::string const& why = "") {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s: %s\n", static_cast<int>(law.size()), law.data(), why.c_str());
  std::abort();
}

/// Runs a harness on an input; what it calls may refuse a problem.
template <class Run>
int one_input(std::uint8_t const* data, std::size_t size, Run const& run) {
  bytes in(data, size);
  try {
    run(in);
  } catch (invalid_problem const&) {}
  return 0;
}

}  // namespace shunt::tests::fuzz
