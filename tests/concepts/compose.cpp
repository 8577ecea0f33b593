// The least orders, through the function that makes schedules of them. Only where range-v3 is
// there.
#if __has_include(<range/v3/range/concepts.hpp>)
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "shunt/compose/orders.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace {

using namespace shunt;

/// An input range that is moved and read once.
template <class T>
class least_range {
 public:
  explicit least_range(std::vector<T> all) : all_(std::move(all)) {}
  least_range(least_range&&) = default;
  least_range& operator=(least_range&&) = default;

  struct end_of_range {};
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = T;

    iterator() = default;
    explicit iterator(std::vector<T> const* of) : of_(of) {}
    [[nodiscard]] T operator*() const { return (*of_)[at_]; }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    void operator++(int) { ++at_; }
    friend bool operator==(iterator const& i, end_of_range) { return i.at_ == i.of_->size(); }
    friend bool operator!=(iterator const& i, end_of_range e) { return !(i == e); }
    friend bool operator==(end_of_range e, iterator const& i) { return i == e; }
    friend bool operator!=(end_of_range e, iterator const& i) { return !(i == e); }

   private:
    std::vector<T> const* of_ = nullptr;
    std::size_t at_ = 0;
  };
  [[nodiscard]] iterator begin() { return iterator(&all_); }
  [[nodiscard]] end_of_range end() { return {}; }

 private:
  std::vector<T> all_;
};

struct least_orders_of_turns {
  least_orders_of_turns() = default;
  least_orders_of_turns(least_orders_of_turns const&) = delete;
  least_orders_of_turns& operator=(least_orders_of_turns const&) = delete;
  least_range<turn> operator()(worker) const {
    return least_range<turn>({{op_kind::forward, 0}, {op_kind::backward, 0}});
  }
};
static_assert(orders_of_turns<least_orders_of_turns>);

struct least_orders_of_operations {
  least_orders_of_operations() = default;
  least_orders_of_operations(least_orders_of_operations const&) = delete;
  least_orders_of_operations& operator=(least_orders_of_operations const&) = delete;
  least_range<operation> operator()(std::vector<worker> const& workers) const {
    return least_range<operation>({{op_kind::forward, workers[0].pipeline, workers[0].stage, 0},
                                   {op_kind::backward, workers[0].pipeline, workers[0].stage, 0}});
  }
};
static_assert(orders_of_operations<least_orders_of_operations>);

TEST(archetypes, orders_make_a_schedule) {
  pipeline_job const job{.pipelines = 1, .stages = 2, .microbatches = 1};
  EXPECT_TRUE(schedule_of(job, least_orders_of_turns{}).has_plan());
  EXPECT_TRUE(schedule_of(job, least_orders_of_operations{}).has_plan());
}

}  // namespace
#endif
