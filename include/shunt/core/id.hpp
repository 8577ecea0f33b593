#pragma once
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// An index of one kind, counted from 0. Ids of different kinds don't convert into each other. Any
/// integer converts to an id implicitly, so that `{.pipeline = 1, .stage = 2}` reads as written. An
/// id converts to an integer only by `value()` and `index()`.
template <class Tag>
class id {
 public:
  constexpr id() = default;
  template <std::integral Integer>
  SHUNT_HD constexpr id(Integer value) : value_(static_cast<std::int32_t>(value)) {}

  [[nodiscard]] SHUNT_HD constexpr std::int32_t value() const { return value_; }
  [[nodiscard]] SHUNT_HD constexpr std::size_t index() const {
    return static_cast<std::size_t>(value_);
  }

  SHUNT_HD constexpr id& operator++() {
    ++value_;
    return *this;
  }
  SHUNT_HD constexpr id& operator--() {
    --value_;
    return *this;
  }

  SHUNT_HD constexpr bool operator==(id const& other) const { return value_ == other.value_; }
  SHUNT_HD constexpr std::strong_ordering operator<=>(id const& other) const {
    return value_ <=> other.value_;
  }

 private:
  std::int32_t value_ = 0;
};

/// Returns the number of an id, in decimal.
template <class Tag>
[[nodiscard]] std::string to_string(id<Tag> const& i) {
  return std::to_string(i.value());
}

/// Prints the number of an id, in decimal.
/// Requires a complete stream type (<ostream>) at the call.
template <class Tag, class Traits>
std::basic_ostream<char, Traits>& operator<<(std::basic_ostream<char, Traits>& out,
                                             id<Tag> const& i) {
  return out << i.value();
}

using rank_id = id<struct rank_tag>;          ///< a process or device as executors address it
using node_id = id<struct node_tag>;          ///< a machine that holds several ranks
using pipeline_id = id<struct pipeline_tag>;  ///< a data-parallel pipeline
/// A stage of the model, counted along the forward pass.
using stage_id = id<struct stage_tag>;
using microbatch_id = id<struct microbatch_tag>;  ///< a micro-batch within its own pipeline
using layer_id = id<struct layer_tag>;            ///< a mixture-of-experts layer
using expert_id = id<struct expert_tag>;          ///< an expert class of a layer
/// A place for one instance of an expert, counted over all ranks.
using slot_id = id<struct slot_tag>;
using buffer_id = id<struct buffer_tag>;  ///< a buffer of one rank
using group_id = id<struct group_tag>;    ///< a group of ranks in a program

}  // namespace shunt
