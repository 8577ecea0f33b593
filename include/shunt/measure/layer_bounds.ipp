#pragma once
#include "shunt/measure/layer_bounds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// The mean of many terms, rounded up. Their sum may be beyond 64 bits.
class mean_of_ranks {
 public:
  explicit mean_of_ranks(std::int64_t ranks) : ranks_(ranks) {}
  void add(ticks term) {
    whole_ += term / ranks_;
    parts_ += term % ranks_;
  }
  [[nodiscard]] ticks rounded_up() const { return whole_ + ceil_divide(parts_, ranks_); }

 private:
  std::int64_t ranks_, whole_ = 0, parts_ = 0;
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE ticks makespan_bound(layer_job const& job) {
  auto const& all = job.layers;
  auto const last = all.size() - 1;
  auto const ranks = static_cast<std::size_t>(job.ranks);
  ticks const c = job.transfer, count = job.microbatches;
  ticks forwards = 0, inputs = 0, weights = 0;
  for (auto const& l : all)
    forwards += l.forward, inputs += l.backward_input, weights += l.backward_weight;
  ticks const way = forwards + c * (job.ranks - 1);
  ticks bound = way + c * (job.ranks - 1) + inputs + all[0].backward_weight;

  // 1, 2 and 3 in the mean
  detail::mean_of_ranks one(job.ranks), two(job.ranks), three(job.ranks);
  one.add(count * (forwards + inputs + weights));
  two.add(count * (forwards + inputs));
  three.add(count * (inputs + weights));
  ticks pre = 0, post = all[0].backward_weight, rest = 0;
  for (std::size_t r = 1; r < ranks; ++r) {
    pre += all[r - 1].forward + c;
    post += all[r - 1].backward_input + c;
    rest += all[last + 1 - r].backward_input + c;
    one.add(pre);
    two.add(pre);
    two.add(post);
    three.add(rest);
  }
  bound = std::max({bound, one.rounded_up(), two.rounded_up(), way + three.rounded_up()});

  // what can be done until some times
  for (ticks step = 1; step <= 128; ++step) {
    ticks const until = forwards / 128 * step + forwards % 128 * step / 128;
    ticks before = 0, slowest = 0, done = 0;
    for (auto const& l : all) {
      if (before >= until) break;
      slowest = std::max(slowest, l.forward);
      if (slowest > 0)
        done += std::min(until - before,
                         std::min(count, ceil_divide(until - before, slowest)) * l.forward);
      before += l.forward;
    }
    bound = std::max(
        bound, until + ceil_divide<ticks>(count * (forwards + inputs + weights) - done, job.ranks));
  }

  // 1, 2 and 3 of each layer, and one micro-batch
  ticks before = 0, after = 0;
  for (auto const& l : all) {
    ticks const ends = after == 0 && before == 0 ? 0 : after + all[0].backward_weight;
    after += l.backward_input;
    ticks const turn = way + inputs - after;
    bound = std::max({bound, before + count * (l.forward + l.backward_input + l.backward_weight),
                      before + count * (l.forward + l.backward_input) + ends,
                      turn + count * (l.backward_input + l.backward_weight),
                      turn + l.backward_input + l.backward_weight});
    before += l.forward;
  }

  std::vector<ticks> works;
  for (auto const& l : all) works.push_back(l.forward + l.backward_input + l.backward_weight);
  std::sort(works.begin(), works.end(), std::greater<>());
  std::vector<ticks> sums{0};  // of the longest
  for (ticks const w : works) sums.push_back(sums.back() + w);
  for (std::size_t q = 1; q * ranks < works.size(); ++q) {
    auto const there = q * ranks + 1;
    bound = std::max(bound, count * (sums[there] - sums[there - q - 1]));
  }

  // whole units of a layer's work: at most 64 units are tried
  std::vector<ticks> units = works;
  units.erase(std::unique(units.begin(), units.end()), units.end());
  for (std::size_t at = 0; at < units.size(); at += 1 + units.size() / 64) {
    ticks const unit = units[at];
    if (unit == 0) break;
    ticks held = 0;
    for (ticks const w : works) held += w / unit;
    bound = std::max(bound, count * unit * ceil_divide<ticks>(held, job.ranks));
  }

  if (job.memory == 0) return bound;
  ticks ahead = 0, turn = forwards + inputs;  // of h .. L-1
  for (auto const& l : all) {
    if (l.activation_bytes > 0) {
      auto const stashes =
          std::max<std::int64_t>(1, (job.memory - l.state_bytes) / l.activation_bytes);
      bound =
          std::max(bound, ahead + ceil_divide<ticks>(count, stashes) * (turn + l.backward_weight));
    }
    ahead += l.forward;
    turn -= l.forward + l.backward_input;
  }
  return bound;
}

}  // namespace shunt
