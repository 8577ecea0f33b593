#pragma once
#include <algorithm>
#include <cassert>
#include <cstddef>
#include <span>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"

namespace shunt {

/// A list of T for each id of one kind, all in one block of memory: many lists cost one allocation.
/// A list keeps its length. `operator[]` requires an id in range (asserted).
template <class Id, class T>
class indexed_lists {
 public:
  constexpr indexed_lists() = default;
  constexpr explicit indexed_lists(indexed<Id, std::vector<T>> const& lists) {
    for (auto const& list : lists) std::copy(list.begin(), list.end(), add(list.size()).begin());
  }

  [[nodiscard]] constexpr std::span<T> operator[](Id i) {
    assert(i.index() < begins_.size());
    return {items_.data() + begins_[i.index()], items_.data() + end_of(i)};
  }
  [[nodiscard]] constexpr std::span<T const> operator[](Id i) const {
    assert(i.index() < begins_.size());
    return {items_.data() + begins_[i.index()], items_.data() + end_of(i)};
  }

  [[nodiscard]] constexpr std::size_t size() const { return begins_.size(); }
  [[nodiscard]] constexpr bool empty() const { return begins_.empty(); }
  [[nodiscard]] constexpr bool contains(Id i) const {
    return i.value() >= 0 && i.index() < begins_.size();
  }
  /// The items of all lists, one list after another.
  [[nodiscard]] constexpr std::vector<T> const& items() const { return items_; }

  constexpr void reserve(std::size_t lists, std::size_t items) {
    begins_.reserve(lists);
    items_.reserve(items);
  }
  /// Adds the list of the next id, with `length` items T{}. Spans of the other lists stay valid
  /// within the reserved number of items.
  /// Returns the list.
  constexpr std::span<T> add(std::size_t length) {
    begins_.push_back(items_.size());
    items_.resize(items_.size() + length);
    return {items_.data() + begins_.back(), length};
  }

  bool operator==(indexed_lists const&) const = default;

 private:
  [[nodiscard]] constexpr std::size_t end_of(Id i) const {
    return i.index() + 1 < begins_.size() ? begins_[i.index() + 1] : items_.size();
  }

  std::vector<T> items_;
  std::vector<std::size_t> begins_;  // by list: the number of its first item
};

}  // namespace shunt
