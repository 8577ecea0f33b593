#pragma once
#include "shunt/solve/pipeline/search/dealt_stages.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"

namespace shunt::detail {

SHUNT_INLINE dealt_stages::dealt_stages(layer_job const& job, std::int32_t stages,
                                        std::int32_t chunks)
    : job_(job), chunks_(chunks) {
  for (auto const& l : job.layers) {
    forward_.push_back(forward_.back() + l.forward);
    work_.push_back(work_.back() + l.forward + l.backward_input + l.backward_weight);
  }
  while (((job.microbatches * work_.back()) >> shift_) > (ticks{1} << 24)) ++shift_;
  for (std::size_t l = 0; l < job.layers.size(); ++l) {
    ticks const before = 6 * (forward_[l] >> shift_),
                own = (forward_[l + 1] >> shift_) - (forward_[l] >> shift_);
    pace_.push_back(pace_.back() + (before == 0 ? 0 : (own << 16) * 5 * job.ranks / before));
  }
  cut(stages);
  deal(chunks);
}

SHUNT_INLINE ticks dealt_stages::work(std::size_t stage) const {
  return work_[static_cast<std::size_t>(now_.borders[stage + 1])] -
         work_[static_cast<std::size_t>(now_.borders[stage])];
}

SHUNT_INLINE void dealt_stages::cut(std::int32_t stages) {
  auto const layers = static_cast<std::int32_t>(job_.layers.size());
  ticks const share = work_.back() / job_.ranks;
  auto const with = [&](ticks longest) {
    stage_borders made{0};
    for (std::int32_t l = 1; l < layers; ++l) {
      auto const first = static_cast<std::size_t>(made.back()),
                 end = static_cast<std::size_t>(l) + 1;
      if (forward_[end] - forward_[first] > longest || work_[end] - work_[first] > share)
        made.push_back(l);
    }
    made.push_back(layers);
    return made;
  };
  ticks low = 0, high = forward_.back();
  while (low < high) {  // the least longest forward that makes few enough stages
    ticks const middle = low + (high - low) / 2;
    if (with(middle).size() <= static_cast<std::size_t>(stages) + 1)
      high = middle;
    else
      low = middle + 1;
  }
  now_.borders = with(low);
}

SHUNT_INLINE void dealt_stages::deal(std::int32_t chunks) {
  auto const stages = now_.borders.size() - 1, ranks = static_cast<std::size_t>(job_.ranks);
  now_.rank_of.assign(stages, 0);
  std::vector<std::int32_t> count(ranks, 0);
  std::vector<ticks> forward(ranks, 0), load(ranks, 0);
  ticks const share = work_.back() / job_.ranks, tail = work(stages - 1);
  bool const kept = tail > share / 3;  // the last rank has the last stage
  if (kept) load.back() = tail;
  for (std::size_t s = 0; s < stages; ++s) {
    std::size_t to = ranks;
    ticks least = 0;
    for (std::size_t r = 0; r < ranks; ++r) {
      if (count[r] == chunks || (s > 0 && now_.rank_of[s - 1] == r && ranks > 1)) continue;
      ticks const over = std::max<ticks>(0, load[r] + work(s) - share - share / 50);
      ticks const key = over > 0 ? forward_.back() + over : forward[r];
      if (to == ranks || key < least) to = r, least = key;
    }
    if (s + 1 == stages && kept) {
      to = ranks - 1;
      load[to] -= tail;
    }
    if (to == ranks)
      to = static_cast<std::size_t>(std::min_element(count.begin(), count.end()) - count.begin());
    now_.rank_of[s] = to;
    forward[to] += forward_[static_cast<std::size_t>(now_.borders[s + 1])] -
                   forward_[static_cast<std::size_t>(now_.borders[s])];
    load[to] += work(s);
    ++count[to];
  }
  collect();
}

SHUNT_INLINE void dealt_stages::collect() {
  auto const ranks = static_cast<std::size_t>(job_.ranks);
  stages_of_.assign(ranks, {});
  load_.assign(ranks, 0);
  for (std::size_t s = 0; s < now_.rank_of.size(); ++s) {
    stages_of_[now_.rank_of[s]].push_back(s);
    load_[now_.rank_of[s]] += work(s);
  }
}

SHUNT_INLINE void dealt_stages::restore(state const& to) {
  now_ = to;
  collect();
}

SHUNT_INLINE bool dealt_stages::complete() const {
  return std::all_of(stages_of_.begin(), stages_of_.end(), [&](auto const& own) {
    return !own.empty() && own.size() <= static_cast<std::size_t>(chunks_);
  });
}

SHUNT_INLINE stage_layout dealt_stages::layout() const {
  std::vector<rank_id> ranks;
  for (std::size_t const r : now_.rank_of) ranks.emplace_back(r);
  return stage_layout::custom(std::move(ranks));
}

SHUNT_INLINE std::vector<ticks> dealt_stages::work() const {
  std::vector<ticks> all;
  for (ticks const load : load_) all.push_back(job_.microbatches * load);
  return all;
}

SHUNT_INLINE std::vector<ticks> dealt_stages::starts() const {
  std::vector<ticks> all;
  for (auto const& own : stages_of_)
    all.push_back(own.empty() ? 0 : forward_[static_cast<std::size_t>(now_.borders[own.front()])]);
  return all;
}

SHUNT_INLINE std::vector<ticks> dealt_stages::expected_idle() const {
  std::vector<ticks> all;
  for (std::size_t r = 0; r < load_.size(); ++r) all.push_back(idle(r) << shift_);
  return all;
}

SHUNT_INLINE ticks dealt_stages::idle(std::size_t rank) const {
  auto const time = [&](std::size_t layer) { return forward_[layer] >> shift_; };
  ticks all = 0, has = 0;  // forwards of its stages so far
  std::size_t from = 0;
  auto const until = [&](std::size_t to) {
    // the layers from which on the rank has less than its part
    ticks const part = has * 5 * job_.ranks / 6;
    auto const is_less = [&](ticks p, ticks before) { return p < before >> shift_; };
    auto const begin = forward_.begin();
    auto const at = [&](std::size_t layer) { return begin + static_cast<std::ptrdiff_t>(layer); };
    auto const first =
        has == 0
            ? from
            : static_cast<std::size_t>(std::upper_bound(at(from), at(to), part, is_less) - begin);
    if (first < to) {
      ticks const runs = (has * (pace_[to] - pace_[first]) + (ticks{1} << 15)) >> 16;
      all += std::max<ticks>(0, time(to) - time(first) - runs);
    }
    from = to;
  };
  for (std::size_t const s : stages_of_[rank]) {
    auto const begin = static_cast<std::size_t>(now_.borders[s]);
    until(begin);
    has += time(static_cast<std::size_t>(now_.borders[s + 1])) - time(begin);
  }
  until(forward_.size() - 1);
  return all;
}

SHUNT_INLINE bool dealt_stages::meets_itself(std::size_t stage) const {
  auto const own = now_.rank_of[stage];
  return (stage > 0 && now_.rank_of[stage - 1] == own) ||
         (stage + 1 < now_.rank_of.size() && now_.rank_of[stage + 1] == own);
}

SHUNT_INLINE bool dealt_stages::propose(move& m) {
  auto const stages = now_.rank_of.size(), ranks = load_.size();
  m.kind = static_cast<std::int32_t>(random_.below(3));
  auto const s = m.stage = static_cast<std::size_t>(random_.below(stages));
  if (m.kind == 0) {  // two stages change ranks
    m.other = static_cast<std::size_t>(random_.below(stages));
    m.from = now_.rank_of[s], m.to = now_.rank_of[m.other];
    if (m.from == m.to) return false;
    std::swap(now_.rank_of[s], now_.rank_of[m.other]);
    bool const fits = !meets_itself(s) && !meets_itself(m.other);
    std::swap(now_.rank_of[s], now_.rank_of[m.other]);
    return fits;
  }
  if (m.kind == 1) {  // a stage goes to another rank
    m.from = now_.rank_of[s], m.to = static_cast<std::size_t>(random_.below(ranks));
    if (m.from == m.to || stages_of_[m.from].size() == 1 ||
        stages_of_[m.to].size() == static_cast<std::size_t>(chunks_))
      return false;
    now_.rank_of[s] = m.to;
    bool const fits = !meets_itself(s);
    now_.rank_of[s] = m.from;
    return fits;
  }
  // the border before a stage moves by a layer
  m.by = random_.below(2) == 0 ? 1 : -1;
  if (s == 0) return false;
  m.from = now_.rank_of[s - 1], m.to = now_.rank_of[s];
  std::int32_t const at = now_.borders[s] + m.by;
  return m.from != m.to && at > now_.borders[s - 1] && at < now_.borders[s + 1];
}

SHUNT_INLINE void dealt_stages::give(std::size_t stage, std::size_t from, std::size_t to) {
  auto& old = stages_of_[from];
  auto& own = stages_of_[to];
  old.erase(std::find(old.begin(), old.end(), stage));
  own.insert(std::upper_bound(own.begin(), own.end(), stage), stage);
  now_.rank_of[stage] = to;
  load_[from] -= work(stage);
  load_[to] += work(stage);
}

SHUNT_INLINE void dealt_stages::apply(move const& m, bool back) {
  if (m.kind == 2) {
    load_[m.from] -= work(m.stage - 1);
    load_[m.to] -= work(m.stage);
    now_.borders[m.stage] += back ? -m.by : m.by;
    load_[m.from] += work(m.stage - 1);
    load_[m.to] += work(m.stage);
    return;
  }
  auto const from = back ? m.to : m.from, to = back ? m.from : m.to;
  give(m.stage, from, to);
  if (m.kind == 0) give(m.other, to, from);
}

SHUNT_INLINE void dealt_stages::balance(std::vector<ticks> const& idle, std::int64_t moves) {
  auto const stages = now_.rank_of.size(), ranks = load_.size();
  auto const earlier = [&](std::size_t a, std::size_t b, ticks by) {
    auto const end = [&](std::size_t r, ticks more) {
      return idle[r] + job_.microbatches * (load_[r] + more);
    };
    return std::max(end(a, by), end(b, -by)) <= std::max(end(a, 0), end(b, 0));
  };
  for (std::int64_t n = 0; n < moves; ++n) {
    move m{.stage = static_cast<std::size_t>(random_.below(stages)),
           .kind = static_cast<std::int32_t>(random_.below(3))};
    m.from = now_.rank_of[m.stage];
    if (m.kind == 0) {  // two stages near to each other change ranks
      m.other = std::min(stages - 1, m.stage + 1 + static_cast<std::size_t>(random_.below(ranks)));
      m.to = now_.rank_of[m.other];
      if (m.from == m.to || !earlier(m.from, m.to, work(m.other) - work(m.stage))) continue;
    } else if (m.kind == 1) {  // a stage goes to another rank
      m.to = static_cast<std::size_t>(random_.below(ranks));
      if (m.to == m.from || stages_of_[m.from].size() == 1 ||
          stages_of_[m.to].size() == static_cast<std::size_t>(chunks_) ||
          !earlier(m.to, m.from, work(m.stage)))
        continue;
    } else {  // the border before a stage moves by a layer
      m.by = random_.below(2) == 0 ? 1 : -1;
      if (m.stage == 0 || m.from == now_.rank_of[m.stage - 1]) continue;
      m.to = m.from;
      m.from = now_.rank_of[m.stage - 1];
      auto const at = static_cast<std::size_t>(now_.borders[m.stage]);
      std::int32_t const moved = now_.borders[m.stage] + m.by;
      if (moved <= now_.borders[m.stage - 1] || moved >= now_.borders[m.stage + 1]) continue;
      ticks const more = m.by > 0 ? work_[at + 1] - work_[at] : work_[at - 1] - work_[at];
      if (!earlier(m.from, m.to, more)) continue;
    }
    apply(m, false);
  }
}

SHUNT_INLINE void dealt_stages::improve(std::vector<ticks> const& more, ticks weight,
                                        std::int64_t moves) {
  auto const ranks = load_.size();
  ticks const mean = job_.microbatches * work_.back() / job_.ranks, most = ticks{1} << 24;
  auto const excess = [&](std::size_t r) {
    ticks const over = (job_.microbatches * load_[r] + more[r] - mean) / (ticks{1} << shift_);
    auto const square =
        static_cast<std::uint64_t>(std::clamp<ticks>(over + weight * idle(r), 0, most));
    return square * square;
  };
  std::vector<std::uint64_t> of(ranks);
  std::uint64_t value = 0;
  for (std::size_t r = 0; r < ranks; ++r) value += of[r] = excess(r);
  std::array<std::uint64_t, 50> past{};  // late acceptance
  past.fill(value);
  for (std::int64_t n = 0; n < moves; ++n) {
    auto& before = past[static_cast<std::size_t>(n) % past.size()];
    if (move m; propose(m)) {
      apply(m, false);
      auto const from = excess(m.from), to = excess(m.to);
      auto const moved = value - of[m.from] - of[m.to] + from + to;
      if (moved <= value || moved < before) {
        value = moved;
        of[m.from] = from, of[m.to] = to;
      } else {
        apply(m, true);
      }
    }
    before = value;
  }
}

}  // namespace shunt::detail
