#pragma once
#include "shunt/measure/layer_bounds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt::detail {

/// Returns the ticks worked until `until` by `count` pieces of one length, of which number i starts
/// at `first` + i x `gap` at the earliest.
/// Requires a gap no shorter than the length.
inline ticks worked(ticks until, ticks first, ticks gap, ticks length, ticks count) {
  if (until <= first || length == 0) return 0;
  ticks const before = std::min(count, ceil_divide(until - first, gap)) - 1;
  return before * length + std::min(length, until - first - before * gap);
}

/// Tries assignments of layers to ranks, longest layers first.
class layer_shares {
 public:
  /// Work of a layer outside of the first and the last ticks, for pairs of these.
  struct item {
    ticks work = 0;
    std::size_t layer = 0;
    std::vector<ticks> outside{};
  };

  /// `windows`: of each pair, the ticks of both together.
  layer_shares(layer_job const& job, std::vector<item> items, std::vector<ticks> windows)
      : job_(job),
        items_(std::move(items)),
        windows_(std::move(windows)),
        rank_of_(items_.size()),
        held_(static_cast<std::size_t>(job.ranks), std::vector<ticks>(windows_.size(), 0)) {
    std::sort(items_.begin(), items_.end(), [](item const& a, item const& b) {
      return a.work != b.work ? a.work > b.work : a.layer < b.layer;
    });
  }

  /// Returns false where every assignment takes longer. Gives up, and returns true, after some
  /// hundred steps.
  [[nodiscard]] bool may_fit(ticks makespan) {
    makespan_ = makespan;
    std::int64_t const most = std::min<std::int64_t>(left_, 500);
    left_ -= most;
    steps_ = most;
    room_.clear();
    for (ticks const w : windows_) room_.push_back(std::max<ticks>(0, makespan - w));
    bool const fits = place(0, 0);
    left_ += std::max<std::int64_t>(0, steps_);
    return fits;
  }

 private:
  /// Places the items from `next` on, where `used` ranks have a layer.
  bool place(std::size_t next, std::size_t used) {
    if (--steps_ < 0) return true;
    if (next == items_.size()) return whole_fits();
    auto const left = items_.size() - next, unused = held_.size() - used;
    auto const& own = items_[next];
    for (std::size_t r = left > unused ? 0 : used; r < std::min(held_.size(), used + 1); ++r) {
      auto& held = held_[r];
      bool fits = true;
      for (std::size_t i = 0; i < held.size(); ++i) fits &= held[i] + own.outside[i] <= room_[i];
      if (!fits) continue;
      for (std::size_t i = 0; i < held.size(); ++i) held[i] += own.outside[i];
      rank_of_[own.layer] = r;
      bool const found = place(next + 1, std::max(used, r + 1));
      for (std::size_t i = 0; i < held.size(); ++i) held[i] -= own.outside[i];
      if (found) return true;
    }
    return false;
  }

  /// Returns whether 1, 2 and 3 hold for all ranks, with the transfers of this assignment.
  [[nodiscard]] bool whole_fits() const {
    auto const& all = job_.layers;
    struct rank {
      ticks start = -1, tail = 0, turn = 0, forward = 0, input = 0, weight = 0;
    };
    std::vector<rank> ranks(held_.size());
    ticks at = 0, back = 0;
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (k > 0 && rank_of_[k] != rank_of_[k - 1]) at += job_.transfer, back += job_.transfer;
      auto& own = ranks[rank_of_[k]];
      if (own.start < 0) own.start = at, own.tail = k == 0 ? 0 : back + all[0].backward_weight;
      own.forward += all[k].forward, own.input += all[k].backward_input;
      own.weight += all[k].backward_weight;
      at += all[k].forward, back += all[k].backward_input;
    }
    std::vector<char> met(ranks.size(), 0);
    for (std::size_t k = all.size(); k-- > 0;) {
      if (k + 1 < all.size() && rank_of_[k] != rank_of_[k + 1]) at += job_.transfer;
      if (!std::exchange(met[rank_of_[k]], 1)) ranks[rank_of_[k]].turn = at;
      at += all[k].backward_input;
    }
    ticks const count = job_.microbatches;
    ticks end = at + all[0].backward_weight;
    for (auto const& r : ranks)
      end = std::max({end, r.start + count * (r.forward + r.input + r.weight),
                      r.start + count * (r.forward + r.input) + r.tail,
                      r.turn + count * (r.input + r.weight), r.turn + count * r.input + r.tail});
    return end <= makespan_;
  }

  layer_job const& job_;
  std::vector<item> items_;
  std::vector<ticks> windows_, room_{};
  std::vector<std::size_t> rank_of_;      // by layer
  std::vector<std::vector<ticks>> held_;  // by rank and pair
  ticks makespan_ = 0;
  std::int64_t steps_ = 0, left_ = 4'000;
};

/// The bound of one job. Keeps a reference to it.
class layer_bound {
 public:
  explicit layer_bound(layer_job const& job)
      : job_(job), all_(job.layers), count_(job.microbatches) {
    for (auto const& l : all_)
      forwards_ += l.forward, inputs_ += l.backward_input, weights_ += l.backward_weight;
    ticks const links = job.transfer * (job.ranks - 1);
    way_ = forwards_ + links;
    bound_ = way_ + links + inputs_ + all_[0].backward_weight;
  }

  [[nodiscard]] ticks run() {
    each_layer();
    whole_ticks();
    packing();
    if (job_.memory > 0) memory();
    limit();
    both_ends();
    if (all_.size() <= 64) every_share();
    return bound_;
  }

 private:
  /// When a layer can work: its first forward and backward_input after the start, its last ones
  /// before the end, and the distance of two micro-batches there.
  struct limits {
    ticks start = 0, start_gap = 0, turn = 0, turn_gap = 0;
    ticks tail = 0, tail_gap = 0, after = 0, after_gap = 0;
  };

  void raise(ticks to) { bound_ = std::max(bound_, to); }
  template <class Cost>
  [[nodiscard]] std::vector<ticks> each(Cost const& cost) const {
    std::vector<ticks> costs;
    for (auto const& l : all_) costs.push_back(cost(l));
    return costs;
  }
  static ticks work_of(model_layer const& l) {
    return l.forward + l.backward_input + l.backward_weight;
  }

  /// 1, 2 and 3 of each layer, and one micro-batch.
  void each_layer() {
    ticks before = 0, after = 0;
    for (auto const& l : all_) {
      ticks const ends = after == 0 && before == 0 ? 0 : after + all_[0].backward_weight;
      after += l.backward_input;
      ticks const turn = way_ + inputs_ - after;
      raise(before + count_ * work_of(l));
      raise(before + count_ * (l.forward + l.backward_input) + ends);
      raise(turn + count_ * (l.backward_input + l.backward_weight));
      raise(turn + l.backward_input + l.backward_weight);
      before += l.forward;
    }
  }

  /// 1, 2 and 3 over all ranks.
  void whole_ticks() {
    std::vector<ticks> starts{0}, both{0}, turns{way_};
    for (std::size_t r = 1; r < static_cast<std::size_t>(job_.ranks); ++r) {
      ticks const post = r == 1 ? all_[0].backward_weight : 0;
      starts.push_back(starts.back() + all_[r - 1].forward + job_.transfer);
      both.push_back(both.back() + all_[r - 1].forward + all_[r - 1].backward_input +
                     2 * job_.transfer + post);
      turns.push_back(turns.back() + all_[all_.size() - r].backward_input + job_.transfer);
    }
    auto const rule = [&](std::vector<ticks> const& costs, std::vector<ticks> const& idle) {
      ticks unit = 0, sum = 0;
      for (ticks const c : costs) unit = std::gcd(unit, c), sum += c;
      if (unit == 0) return;
      ticks low = bound_ - 1,
            high = std::max(bound_, idle.back() +
                                        count_ * unit * ceil_divide<ticks>(sum / unit, job_.ranks));
      while (high - low > 1) {
        ticks const middle = low + (high - low) / 2;
        ticks left = sum;
        for (std::size_t r = 0; r < idle.size() && left > 0 && middle > idle[r]; ++r)
          left -= std::min(left, (middle - idle[r]) / count_ / unit * unit);
        (left == 0 ? high : low) = middle;
      }
      raise(high);
    };
    rule(each(work_of), starts);
    rule(each([](auto const& l) { return l.forward + l.backward_input; }), both);
    rule(each([](auto const& l) { return l.backward_input + l.backward_weight; }), turns);
  }

  void packing() {
    auto works = each(work_of);
    auto const ranks = static_cast<std::size_t>(job_.ranks);
    std::sort(works.begin(), works.end(), std::greater<>());
    std::vector<ticks> sums{0};  // of the longest
    for (ticks const w : works) sums.push_back(sums.back() + w);
    for (std::size_t q = 1; q * ranks < works.size(); ++q) {
      auto const there = q * ranks + 1;
      raise(count_ * (sums[there] - sums[there - q - 1]));
    }
    // whole units of a layer's work: at most 64 units are tried
    auto units = works;
    units.erase(std::unique(units.begin(), units.end()), units.end());
    for (std::size_t at = 0; at < units.size(); at += 1 + units.size() / 64) {
      ticks const unit = units[at];
      if (unit == 0) break;
      ticks held = 0;
      for (ticks const w : works) held += w / unit;
      raise(count_ * unit * ceil_divide<ticks>(held, job_.ranks));
    }
  }

  void memory() {
    ticks ahead = 0, turn = forwards_ + inputs_;  // of h .. L-1
    for (auto const& l : all_) {
      if (l.activation_bytes > 0) {
        auto const stashes =
            std::max<std::int64_t>(1, (job_.memory - l.state_bytes) / l.activation_bytes);
        raise(ahead + ceil_divide<ticks>(count_, stashes) * (turn + l.backward_weight));
      }
      ahead += l.forward;
      turn -= l.forward + l.backward_input;
    }
  }

  /// Finds the limits of all layers.
  void limit() {
    auto const &first = all_.front(), &last = all_.back();
    ticks const loss = last.forward + last.backward_input;
    ticks slow = 0, slow_back = first.backward_input + first.backward_weight, past = 0;
    ticks tail = first.backward_weight, turn = way_ + inputs_;
    for (auto const& l : all_) {
      slow = std::max(slow, l.forward), slow_back = std::max(slow_back, l.backward_input);
      past += l.forward, turn -= l.backward_input;
      limits_.push_back({.start = past - l.forward,
                         .start_gap = slow,
                         .turn = turn,
                         .tail = tail,
                         .tail_gap = slow_back,
                         .after = way_ - past + inputs_ + first.backward_weight});
      tail += l.backward_input;
    }
    ticks turn_gap = std::max(slow, loss), after_gap = std::max(slow_back, loss);
    for (std::size_t k = all_.size(); k-- > 0;) {
      limits_[k].turn_gap = turn_gap = std::max(turn_gap, all_[k].backward_input);
      limits_[k].after_gap = after_gap = std::max(after_gap, all_[k].forward);
    }
  }

  /// Returns the most that layer k works in the first ticks.
  [[nodiscard]] ticks at_start(std::size_t k, ticks until) const {
    auto const& l = all_[k];
    auto const& own = limits_[k];
    if (until <= own.start) return 0;
    ticks const backward =
        until <= own.turn
            ? 0
            : worked(until, own.turn, own.turn_gap, l.backward_input, count_) +
                  worked(until, own.turn + l.backward_input,
                         std::max(own.turn_gap, l.backward_weight), l.backward_weight, count_);
    return std::min(until - own.start,
                    worked(until, own.start, own.start_gap, l.forward, count_) + backward);
  }
  /// Returns the most that layer k works in the last ticks.
  [[nodiscard]] ticks at_end(std::size_t k, ticks until) const {
    auto const& l = all_[k];
    auto const& own = limits_[k];
    ticks const others =
        until <= own.tail
            ? 0
            : std::min(until - own.tail,
                       worked(until, own.tail, own.tail_gap, l.backward_input, count_) +
                           worked(until, own.after, own.after_gap, l.forward, count_));
    return std::min(until, count_ * l.backward_weight + others);
  }

  void both_ends() {
    struct window {
      ticks until, work;
    };
    ticks const steps = std::clamp<ticks>((1 << 15) / static_cast<ticks>(all_.size()), 16, 96);
    ticks const path = way_ + inputs_, tail = inputs_ + all_[0].backward_weight;
    auto const windows = [&](ticks middle, auto const& most) {
      std::vector<window> all{{0, 0}};
      for (auto const& [from, to] : {std::pair{ticks{0}, middle}, std::pair{middle, path}})
        for (ticks step = 1; step <= steps; ++step) {
          ticks const span = std::max<ticks>(0, to - from);
          window next{from + span / steps * step + span % steps * step / steps, 0};
          for (std::size_t k = 0; k < all_.size(); ++k) next.work += most(k, next.until);
          all.push_back(next);
        }
      return all;
    };
    auto const starts =
        windows(forwards_, [&](std::size_t k, ticks until) { return at_start(k, until); });
    auto const ends = windows(tail, [&](std::size_t k, ticks until) { return at_end(k, until); });
    ticks const work = count_ * (forwards_ + inputs_ + weights_);
    for (window const& a : starts)
      for (window const& b : ends)
        if (ticks const left = work - a.work - b.work;
            left > 0 && left > bound_ - a.until - b.until)
          raise(a.until + b.until + ceil_divide<ticks>(left, job_.ranks));
  }

  void every_share() {
    constexpr ticks starts = 12, ends = 6;
    ticks const path = way_ + inputs_;
    std::vector<layer_shares::item> items(all_.size());
    std::vector<ticks> windows;
    for (ticks s = 0; s <= starts; ++s)
      for (ticks e = 0; e <= ends; ++e) {
        ticks const first = path / starts * s + path % starts * s / starts,
                    last = path / ends * e + path % ends * e / ends;
        windows.push_back(first + last);
        for (std::size_t k = 0; k < all_.size(); ++k)
          items[k].outside.push_back(count_ * work_of(all_[k]) - at_start(k, first) -
                                     at_end(k, last));
      }
    for (std::size_t k = 0; k < all_.size(); ++k) {
      items[k].work = work_of(all_[k]);
      items[k].layer = k;
    }
    layer_shares shares(job_, std::move(items), std::move(windows));
    ticks low = bound_ - 1, step = 1;  // no assignment fits `low`
    while (!shares.may_fit(low + step)) low += step, step *= 2;
    while (step > 1) {
      step /= 2;
      if (!shares.may_fit(low + step)) low += step;
    }
    raise(low + 1);
  }

  layer_job const& job_;
  std::vector<model_layer> const& all_;
  ticks count_, forwards_ = 0, inputs_ = 0, weights_ = 0, way_ = 0, bound_ = 0;
  std::vector<limits> limits_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE ticks makespan_bound(layer_job const& job) {
  ticks unit = job.transfer;
  for (auto const& l : job.layers)
    for (ticks const cost : {l.forward, l.backward_input, l.backward_weight})
      unit = std::gcd(unit, cost);
  if (unit <= 1) return detail::layer_bound(job).run();
  auto coarse = job;
  coarse.transfer /= unit;
  for (auto& l : coarse.layers)
    l.forward /= unit, l.backward_input /= unit, l.backward_weight /= unit;
  return unit * detail::layer_bound(coarse).run();
}

}  // namespace shunt
