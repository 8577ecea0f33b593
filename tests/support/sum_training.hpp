#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/indexed.hpp"
#include "shunt/execute/recovery.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/program/builder.hpp"
#include "shunt/program/program.hpp"

namespace shunt::tests::sum_training {

using dead_ranks = std::span<rank_id const>;

inline constexpr std::int32_t workers = 3, microbatches = 7;
inline constexpr byte_count width = 4 * 8;  // four int64
inline constexpr buffer_id state = 0, gradient = 1;

/// Data-parallel training in integers: every worker holds the state, the gradient of (iteration,
/// micro-batch, state) is summed over all of them, and the step mixes it in, so that doing anything
/// twice, in part or with the wrong state shows.
class toy_training {
 public:
  toy_training() : ranks_(workers) {}

  /// Asked before every operation.
  std::function<void(task const&)> before{};

  void operator()(rank_id r, task const& t) {
    if (before) before(t);
    auto& me = ranks_[r.index()];
    if (t.op.kind == op_kind::backward) {
      for (std::size_t i = 0; i < 4; ++i)
        me.words[1][i] += (me.words[0][i] ^ (t.iteration * 100 + t.op.microbatch.value() * 10 +
                                             static_cast<std::int64_t>(i))) %
                          1009;
    } else {
      me.kept = me.words[0];
      me.stepped = t.iteration;
      for (std::size_t i = 0; i < 4; ++i)
        me.words[0][i] = me.words[0][i] * 3 + me.words[1][i] + t.iteration;
    }
  }
  std::span<std::byte> buffer(rank_id r, buffer_id b) {
    return std::as_writable_bytes(std::span(ranks_[r.index()].words[b.index()]));
  }
  void restore(rank_id r, std::int64_t iteration) {
    auto& me = ranks_[r.index()];
    ++restored;
    if (me.stepped < iteration) return;
    ASSERT_EQ(me.stepped, iteration) << "more than one step to undo";
    me.words[0] = me.kept;
    me.stepped = iteration - 1;
  }

  [[nodiscard]] std::array<std::int64_t, 4> const& words(rank_id r) const {
    return ranks_[r.index()].words[0];
  }
  int restored = 0;

 private:
  struct alignas(64) worker_state {
    std::array<std::int64_t, 4> words[2]{{11, 22, 33, 44}, {-1, -1, -1, -1}};
    std::array<std::int64_t, 4> kept{};
    std::int64_t stepped = -1;
  };
  std::vector<worker_state> ranks_;
};

static_assert(restorable_work<toy_training>);

inline std::optional<program> plan(dead_ranks dead) {
  program_builder b(workers);
  std::vector<rank_id> live;
  for (rank_id const r : ids<rank_id>(workers)) {
    b.buffer(r, state, width, true);
    b.buffer(r, gradient, width);
    if (!std::binary_search(dead.begin(), dead.end(), r)) live.push_back(r);
  }
  if (live.empty()) return std::nullopt;
  region const weights{state, 0, width}, sum{gradient, 0, width};
  for (rank_id const r : live) b.fill(r, sum);
  for (std::int32_t m = 0; m < microbatches; ++m)
    b.compute(live[static_cast<std::size_t>(m) % live.size()],
              {.kind = op_kind::backward, .microbatch = m}, {weights, sum}, {sum});
  auto const every_rank = b.group(live);
  for (rank_id const r : live) {
    b.all_reduce(r, every_rank, element::int64, reduction::sum, sum);
    b.compute(r, {.kind = op_kind::step}, {sum, weights}, {weights});
  }
  return std::move(b).finish();
}

inline std::optional<program> transfer(rank_id joining, dead_ranks dead) {
  program_builder b(workers);
  for (rank_id const r : ids<rank_id>(workers)) b.buffer(r, state, width, true);
  for (rank_id const r : ids<rank_id>(workers))
    if (!std::binary_search(dead.begin(), dead.end(), r)) {
      b.message(r, {state, 0, width}, joining, {state, 0, width});
      return std::move(b).finish();
    }
  return std::nullopt;
}

inline std::vector<rank_id> only(rank_id r) { return {r}; }

using planner = std::function<std::optional<program>(dead_ranks)>;
using listener = std::function<void(completed_iteration const&)>;

}  // namespace shunt::tests::sum_training
