#pragma once
#include "shunt/lower/detail/buffer_sets.hpp"

namespace shunt::detail {

SHUNT_CONSTEXPR void buffer_sets::clear() {
  sets_.clear();
  free_.clear();
  first_free_ = 0;
}

SHUNT_CONSTEXPR buffer_set& buffer_sets::operator[](std::int32_t number) {
  return sets_[static_cast<std::size_t>(number)];
}

SHUNT_CONSTEXPR buffer_sets::assignment buffer_sets::take(ticks forward, ticks gradient) {
  auto const taken = [&](buffer_set const& set) {
    return set.output_taken <= forward && (gradient < 0 || set.gradient_taken <= gradient);
  };
  std::size_t k = first_free_;
  while (k < free_.size() && !taken((*this)[free_[k]])) ++k;
  assignment found;
  if (k < free_.size() && free_.size() - first_free_ > spare_) {
    found.number = free_[k];
    if (k == first_free_)
      ++first_free_;
    else
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(k));
  } else {
    found = {static_cast<std::int32_t>(sets_.size()), true};
    sets_.push_back({});
  }
  buffer_set& set = (*this)[found.number];
  set.in_use = true;
  set.input_came = set.gradient_came = -1;
  return found;
}

SHUNT_CONSTEXPR void buffer_sets::retire(std::int32_t number) {
  (*this)[number].in_use = false;
  release(number);
}

SHUNT_CONSTEXPR void buffer_sets::passed_on(std::int32_t number) {
  --(*this)[number].to_pass_on;
  release(number);
}

SHUNT_CONSTEXPR void buffer_sets::release(std::int32_t number) {
  buffer_set const& set = (*this)[number];
  if (!set.in_use && set.to_pass_on == 0) free_.push_back(number);
}

}  // namespace shunt::detail
