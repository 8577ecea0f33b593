#pragma once
#include <cassert>
#include <cstddef>
#include <initializer_list>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// A vector indexed by one kind of id only. `operator[]` requires an id in range (asserted).
template <class Id, class T>
class indexed {
 public:
  using value_type = T;

  constexpr indexed() = default;
  constexpr explicit indexed(std::size_t size, T const& value = T{}) : items_(size, value) {}
  constexpr indexed(std::initializer_list<T> items) : items_(items) {}
  constexpr explicit indexed(std::vector<T> items) : items_(std::move(items)) {}

  [[nodiscard]] constexpr T& operator[](Id i) {
    assert(i.index() < items_.size());
    return items_[i.index()];
  }
  [[nodiscard]] constexpr T const& operator[](Id i) const {
    assert(i.index() < items_.size());
    return items_[i.index()];
  }

  [[nodiscard]] constexpr std::size_t size() const { return items_.size(); }
  [[nodiscard]] constexpr bool empty() const { return items_.empty(); }
  [[nodiscard]] constexpr bool contains(Id i) const {
    return i.value() >= 0 && i.index() < items_.size();
  }
  [[nodiscard]] constexpr auto begin() { return items_.begin(); }
  [[nodiscard]] constexpr auto end() { return items_.end(); }
  [[nodiscard]] constexpr auto begin() const { return items_.begin(); }
  [[nodiscard]] constexpr auto end() const { return items_.end(); }
  [[nodiscard]] constexpr std::vector<T> const& items() const { return items_; }

  constexpr void push_back(T item) { items_.push_back(std::move(item)); }
  constexpr void resize(std::size_t size, T const& value = T{}) { items_.resize(size, value); }

  bool operator==(indexed const&) const = default;

 private:
  std::vector<T> items_;
};

/// The ids first .. last-1, ascending. Made by `ids`.
template <class Id>
class id_range {
 public:
  class iterator {
   public:
    using value_type = Id;
    using difference_type = std::ptrdiff_t;
    constexpr iterator() = default;
    constexpr explicit iterator(Id at) : at_(at) {}
    constexpr Id operator*() const { return at_; }
    constexpr iterator& operator++() {
      ++at_;
      return *this;
    }
    constexpr iterator operator++(int) {
      iterator const old = *this;
      ++at_;
      return old;
    }
    constexpr bool operator==(iterator const& other) const { return at_ == other.at_; }

   private:
    Id at_;
  };

  constexpr id_range(Id first, Id last) : first_(first), last_(last) {}
  [[nodiscard]] constexpr iterator begin() const { return iterator{first_}; }
  [[nodiscard]] constexpr iterator end() const { return iterator{last_}; }

 private:
  Id first_, last_;
};

/// Returns the ids 0 .. count-1, to loop over: `for (stage_id s : ids<stage_id>(job.stages))`.
template <class Id>
[[nodiscard]] constexpr id_range<Id> ids(std::integral auto count) {
  return {Id{0}, Id{count}};
}

}  // namespace shunt
