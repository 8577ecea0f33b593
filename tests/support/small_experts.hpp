#pragma once
/// A mixture of experts small enough to be trained by the hundred.
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <utility>

#include "../../examples/adaptive_experts/training.hpp"
#include "shunt/train/moe_run.hpp"
#include "text.hpp"

namespace example {

/// A training with all that it needs but the text, iteration by iteration. Work: moe_work, or one
/// that does the same on a device; `for_work` is what it asks for beyond what moe_work does.
template <class Work>
struct owned_work {
  Work owned;
};
template <class Executor, class Work = moe_work>
class moe_training : owned_work<Work>, public shunt::moe_run<Work, policy> {
 public:
  using loss_notice = std::function<void(std::span<shunt::rank_id const>, std::int64_t)>;

  /// Throws invalid_problem where there is no placement, or fewer ranks than copies.
  template <class... ForWork>
  moe_training(training_setup const& s, policy place, text_bytes const& text, Executor executor,
               loss_notice notice = {}, ForWork&&... for_work)
      : owned_work<Work>{Work(model_of(s, text), s, s.optimizer,
                              std::forward<ForWork>(for_work)...)},
        shunt::moe_run<Work, policy>(this->owned, std::move(place)),
        executor_(std::move(executor)) {
    if (notice) this->on_loss = std::move(notice);
  }

  iteration_record operator()() { return this->iterate(executor_); }

 private:
  Executor executor_;
};

}  // namespace example

namespace example::tests::small_experts {

inline text_bytes const& words() {
  static text_bytes const all = [] {
    text_bytes bytes;
    std::mt19937_64 random(7);
    char const* const list[] = {"the ",       "rank ",  "keeps ",  "a slot ",  "for ",
                                "one expert", ", and ", "tokens ", "travel.\n"};
    while (bytes.size() < 4000)
      for (char const* at = list[random() % 9]; *at; ++at)
        bytes.push_back(static_cast<std::uint8_t>(*at));
    return bytes;
  }();
  return all;
}

/// Small enough for thousands of evaluations; nothing divides evenly.
inline training_setup small() {
  training_setup s;
  s.model = {
      .context = 3, .embedding = 5, .layers = 2, .experts = 5, .expert = {.width = 6, .hidden = 7}};
  s.ranks = 4;
  s.slots_per_rank = 2;
  s.tokens = 12;
  s.capacity.reset();
  return s;
}

/// Sizes of a mixture of experts, whatever it keeps of routing.
inline shunt::moe_shape shape_of(moe_model const& m, std::int32_t ranks, std::int64_t tokens,
                                 std::int64_t slot_capacity) {
  training_setup s;
  s.ranks = ranks;
  s.tokens = tokens;
  auto shape = shunt::shape_of(sizes_of(m, tokens), s, 64, shunt::adam::moments);
  shape.slot_capacity = slot_capacity;
  return shape;
}

}  // namespace example::tests::small_experts
