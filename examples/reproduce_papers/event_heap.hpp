#pragma once
#include <cstddef>
#include <utility>
#include <vector>

namespace reproduce_papers {

/// A binary heap of which the array is known, ties included: the artifact's simulators look at the
/// array itself. Order as in CPython's heapq: a pop sinks the last element to a leaf, along the
/// smaller child and the right one of two equals, and raises it from there.
template <class T>
class event_heap {
 public:
  void push(T value) {
    array_.push_back(std::move(value));
    raise(0, array_.size() - 1);
  }

  /// The least element. Requires that there is one.
  T pop() {
    T last = std::move(array_.back());
    array_.pop_back();
    if (array_.empty()) return last;
    std::swap(last, array_.front());
    sink(0);
    return last;
  }

  /// Orders the array anew, which moves equal elements of a heap too.
  void heapify() {
    for (std::size_t i = array_.size() / 2; i-- > 0;) sink(i);
  }

  [[nodiscard]] std::vector<T> const& array() const { return array_; }

 private:
  void raise(std::size_t top, std::size_t at) {
    T value = std::move(array_[at]);
    while (at > top) {
      std::size_t const parent = (at - 1) / 2;
      if (!(value < array_[parent])) break;
      array_[at] = std::move(array_[parent]);
      at = parent;
    }
    array_[at] = std::move(value);
  }
  void sink(std::size_t top) {
    T value = std::move(array_[top]);
    std::size_t at = top;
    for (std::size_t child = 2 * at + 1; child < array_.size(); child = 2 * at + 1) {
      if (child + 1 < array_.size() && !(array_[child] < array_[child + 1])) ++child;
      array_[at] = std::move(array_[child]);
      at = child;
    }
    array_[at] = std::move(value);
    raise(top, at);
  }

  std::vector<T> array_;
};

}  // namespace reproduce_papers
