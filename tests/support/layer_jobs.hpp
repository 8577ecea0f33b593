#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/units.hpp"
#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "support/random_cases.hpp"

namespace shunt::tests {

/// Returns a job of layers with forward, backward_input and backward_weight.
inline layer_job layers_of(std::vector<std::vector<ticks>> const& costs, std::int32_t ranks,
                           std::int32_t microbatches, ticks transfer = 0) {
  layer_job job{.ranks = ranks, .microbatches = microbatches, .transfer = transfer};
  for (auto const& c : costs)
    job.layers.push_back({.name = "layer" + std::to_string(job.layers.size()),
                          .forward = c[0],
                          .backward_input = c[1],
                          .backward_weight = c[2]});
  return job;
}

/// Returns a job of layers with random costs from 1 to `most`, the last one `heavy` times as long.
inline layer_job random_layers(random_cases& random, std::int32_t layers, std::int32_t ranks,
                               std::int32_t microbatches, std::int32_t most, ticks heavy = 1) {
  layer_job job{.ranks = ranks, .microbatches = microbatches};
  for (std::int32_t l = 0; l < layers; ++l) {
    auto const times = l + 1 < layers ? 1 : heavy;
    ticks const f = random.roll(1, most), i = random.roll(1, most), w = random.roll(0, most);
    job.layers.push_back({.name = "layer" + std::to_string(l),
                          .forward = times * f,
                          .backward_input = times * i,
                          .backward_weight = times * w});
  }
  return job;
}

/// Calls `visit` with every cut of the layers into so many stages.
template <class Visit>
void each_cut(std::int32_t layers, std::int32_t stages, Visit const& visit,
              std::vector<layer_range> const& before = {}) {
  std::int32_t const first = before.empty() ? 0 : before.back().end;
  if (stages == 1) {
    auto all = before;
    all.push_back({first, layers});
    visit(all);
    return;
  }
  for (std::int32_t end = first + 1; end <= layers - stages + 1; ++end) {
    auto more = before;
    more.push_back({first, end});
    each_cut(layers, stages - 1, visit, more);
  }
}

/// Returns the layouts of a pipeline of N ranks with at most L stages.
inline std::vector<std::pair<stage_layout, std::int32_t>> layouts_of(layer_job const& job) {
  std::vector<std::pair<stage_layout, std::int32_t>> all{{stage_layout::linear(), job.ranks}};
  for (std::int32_t v = 2; v * job.ranks <= static_cast<std::int32_t>(job.layers.size()); ++v)
    for (auto const& layout : {stage_layout::looped(v), stage_layout::wave(v)})
      all.emplace_back(layout, v * job.ranks);
  return all;
}

/// The least makespan of one pipeline over all orders with split backwards: tries every active
/// schedule (Giffler and Thompson) in which no rank has more work left, and no micro-batch a longer
/// way, than there is time. The rank of a stage is any.
class every_order {
 public:
  struct stage {
    ticks forward, input, weight;
    std::size_t rank;
  };

  every_order(std::vector<stage> stages, std::int32_t microbatches, ticks transfer)
      : stages_(std::move(stages)), count_(static_cast<std::size_t>(microbatches)), c_(transfer) {
    for (auto const& s : stages_) free_.resize(std::max(free_.size(), s.rank + 1), 0);
    work_.resize(free_.size(), 0);
    for (auto const& s : stages_)
      work_[s.rank] += (s.forward + s.input + s.weight) * static_cast<ticks>(count_);
    std::size_t const chain = 2 * stages_.size();
    way_.assign(chain + 1, stages_[0].weight);
    for (std::size_t step = chain; step-- > 0;) {
      auto const& s = stages_[stage_at(step)];
      bool const moves = step + 1 < chain && stages_[stage_at(step + 1)].rank != s.rank;
      way_[step] =
          way_[step + 1] + (step < stages_.size() ? s.forward : s.input) + (moves ? c_ : 0);
    }
    next_.assign(count_, 0);
    ready_.assign(count_, 0);
    weights_.assign(count_ * stages_.size(), -1);
    left_ = count_ * (chain + stages_.size());
  }

  /// Returns the least makespan below `limit`, or `limit` where there is none.
  [[nodiscard]] ticks least(ticks limit) {
    best_ = limit;
    go(0);
    return best_;
  }

 private:
  struct op {
    std::size_t rank;
    ticks ready, length;
    std::size_t m, weight_of;  // weight_of: a stage, or none
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  [[nodiscard]] std::size_t stage_at(std::size_t step) const {
    return step < stages_.size() ? step : 2 * stages_.size() - 1 - step;
  }

  void go(ticks end) {
    if (end >= best_) return;
    if (left_ == 0) {
      best_ = end;
      return;
    }
    for (std::size_t r = 0; r < free_.size(); ++r)
      if (free_[r] + work_[r] >= best_) return;
    for (std::size_t m = 0; m < count_; ++m)
      if (next_[m] < 2 * stages_.size() && ready_[m] + way_[next_[m]] >= best_) return;
    std::vector<op> open;
    for (std::size_t m = 0; m < count_; ++m) {
      // those that have not begun are alike
      if (next_[m] < 2 * stages_.size() && (m == 0 || next_[m] > 0 || next_[m - 1] > 0)) {
        auto const& s = stages_[stage_at(next_[m])];
        bool const forward = next_[m] < stages_.size();
        open.push_back({s.rank, ready_[m], forward ? s.forward : s.input, m, none});
      }
      for (std::size_t s = 0; s < stages_.size(); ++s)
        if (auto const at = weights_[m * stages_.size() + s]; at >= 0)
          open.push_back({stages_[s].rank, at, stages_[s].weight, m, s});
    }
    ticks earliest = best_;
    std::size_t rank = 0;
    for (auto const& o : open) {
      ticks const ends = std::max(free_[o.rank], o.ready) + o.length;
      if (ends < earliest) earliest = ends, rank = o.rank;
    }
    for (auto const& o : open) {
      if (o.rank != rank) continue;
      ticks const start = std::max(free_[rank], o.ready);
      if (start >= earliest && !(o.length == 0 && start == earliest)) continue;
      ticks const was = free_[rank], ready = ready_[o.m];
      free_[rank] = start + o.length;
      work_[rank] -= o.length;
      --left_;
      if (o.weight_of != none) {
        auto& at = weights_[o.m * stages_.size() + o.weight_of];
        ticks const before = std::exchange(at, -1);
        go(std::max(end, free_[rank]));
        at = before;
      } else {
        std::size_t const s = stage_at(next_[o.m]);
        bool const input = next_[o.m] >= stages_.size();
        if (input) weights_[o.m * stages_.size() + s] = free_[rank];
        ++next_[o.m];
        bool const moves =
            next_[o.m] < 2 * stages_.size() && stages_[stage_at(next_[o.m])].rank != rank;
        ready_[o.m] = free_[rank] + (moves ? c_ : 0);
        go(std::max(end, free_[rank]));
        ready_[o.m] = ready;
        --next_[o.m];
        if (input) weights_[o.m * stages_.size() + s] = -1;
      }
      ++left_;
      work_[rank] += o.length;
      free_[rank] = was;
    }
  }

  std::vector<stage> stages_;
  std::size_t count_, left_ = 0;
  ticks c_, best_ = 0;
  std::vector<ticks> free_{}, ready_{}, weights_{};
  std::vector<ticks> work_{}, way_{};  // left, by rank; left from a step of a micro-batch on
  std::vector<std::size_t> next_{};
};

}  // namespace shunt::tests
