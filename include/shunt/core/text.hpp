#pragma once
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shunt {

/// A short text that can be made in constant expressions by g++ 12 and by clang 19, which cannot do
/// so with libstdc++ 12's std::string. Converts implicitly to std::string and std::string_view.
class text {
 public:
  static constexpr std::size_t npos = std::string_view::npos;

  constexpr text() = default;
  constexpr text(char const* letters) : text(std::string_view(letters)) {}
  constexpr text(std::string_view letters) : letters_(letters.begin(), letters.end()) {}
  text(std::string const& letters) : text(std::string_view(letters)) {}

  /// A number in decimal.
  [[nodiscard]] static constexpr text of(std::int64_t n) {
    text digits;
    bool const negative = n < 0;
    do {
      auto const digit = static_cast<char>(n % 10);
      digits.letters_.insert(digits.letters_.begin(),
                             static_cast<char>('0' + (negative ? -digit : digit)));
      n /= 10;
    } while (n != 0);
    if (negative) digits.letters_.insert(digits.letters_.begin(), '-');
    return digits;
  }

  [[nodiscard]] constexpr std::string_view view() const {
    return {letters_.data(), letters_.size()};
  }
  constexpr operator std::string_view() const { return view(); }
  operator std::string() const { return std::string(view()); }

  [[nodiscard]] constexpr bool empty() const { return letters_.empty(); }
  [[nodiscard]] constexpr std::size_t size() const { return letters_.size(); }
  [[nodiscard]] constexpr std::size_t find(std::string_view part) const {
    return view().find(part);
  }

  constexpr text& operator+=(std::string_view more) {
    letters_.insert(letters_.end(), more.begin(), more.end());
    return *this;
  }
  friend constexpr text operator+(text left, std::string_view right) {
    return std::move(left += right);
  }

  constexpr bool operator==(text const&) const = default;
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
