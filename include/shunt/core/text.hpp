#pragma once
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt {

/// A short text that can be made in constant expressions by g++ 12 and by clang 19, which cannot do
/// so with libstdc++ 12's std::string. Converts implicitly to std::string and std::string_view.
class text {
 public:
  static constexpr std::size_t npos = std::string_view::npos;

  constexpr text() = default;
  SHUNT_CONSTEXPR text(char const* letters) : text(std::string_view(letters)) {}
  SHUNT_CONSTEXPR text(std::string_view letters);
  text(std::string const& letters);

  /// A number in decimal.
  [[nodiscard]] static SHUNT_CONSTEXPR text of(std::int64_t n);

  [[nodiscard]] constexpr std::string_view view() const {
    return {letters_.data(), letters_.size()};
  }
  constexpr operator std::string_view() const { return view(); }
  operator std::string() const;

  [[nodiscard]] constexpr bool empty() const { return letters_.empty(); }
  [[nodiscard]] constexpr std::size_t size() const { return letters_.size(); }
  [[nodiscard]] SHUNT_CONSTEXPR std::size_t find(std::string_view part) const;

  SHUNT_CONSTEXPR text& operator+=(std::string_view more);
  friend SHUNT_CONSTEXPR text operator+(text left, std::string_view right) {
    return std::move(left += right);
  }

  bool operator==(text const&) const = default;
  constexpr bool operator==(std::string_view other) const { return view() == other; }
  constexpr bool operator==(char const* other) const { return view() == other; }
  bool operator==(std::string const& other) const { return view() == other; }

  template <class Traits>
  friend std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                                      text const& t) {
    return out << t.view();
  }

 private:
  std::vector<char> letters_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/core/text.ipp"
#endif
