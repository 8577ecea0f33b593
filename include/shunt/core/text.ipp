#pragma once
#include "shunt/core/text.hpp"

namespace shunt {

SHUNT_CONSTEXPR text::text(std::string_view letters) : letters_(letters.begin(), letters.end()) {}

SHUNT_INLINE text::text(std::string const& letters) : text(std::string_view(letters)) {}

SHUNT_CONSTEXPR text text::of(std::int64_t n) {
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

SHUNT_INLINE text::operator std::string() const { return std::string(view()); }

SHUNT_CONSTEXPR std::size_t text::find(std::string_view part) const { return view().find(part); }

SHUNT_CONSTEXPR text& text::operator+=(std::string_view more) {
  letters_.insert(letters_.end(), more.begin(), more.end());
  return *this;
}

}  // namespace shunt
