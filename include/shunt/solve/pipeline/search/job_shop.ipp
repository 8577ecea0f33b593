#pragma once
#include "shunt/solve/pipeline/search/job_shop.hpp"

#include "shunt/core/config.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/measure/operation_graph.hpp"
#include "shunt/measure/stage_groups.hpp"

namespace shunt::detail {

SHUNT_INLINE exact_shop::exact_shop(pipeline_job const& job, bool split, routing rule)
    : of_rank(static_cast<std::size_t>(job.ranks())), crowded(of_rank.size(), false) {
  stage_groups const in(job);
  routes const to(job, rule);
  for (rank_id r : ids<rank_id>(job.ranks())) {
    stage_group_of.push_back(in.of[r]);
    cap.push_back(job.stash_limit(r).value_or(unlimited));
  }
  for (pipeline_id p : ids<pipeline_id>(job.pipelines))
    for (microbatch_id m : ids<microbatch_id>(job.microbatches[p])) {
      std::vector<rank_id> hosts;
      for (stage_id s : ids<stage_id>(job.stages))
        hosts.push_back(job.rank_of({to.host(p, s, m), s}));
      auto same = std::find_if(groups.begin(), groups.end(), [&](group const& g) {
        auto const& [q, k] = g.members.front();
        return g.hosts == hosts && job.length_of(q, k) == job.length_of(p, m);
      });
      if (same == groups.end()) same = groups.insert(groups.end(), {.hosts = std::move(hosts)});
      same->members.emplace_back(p, m);
    }
  for (std::size_t g = 0; g < groups.size(); ++g)
    add_types(job, static_cast<std::int32_t>(g), split);
  for (std::size_t r = 0; r < of_rank.size(); ++r) limit(r);
}

SHUNT_INLINE std::int32_t exact_shop::count(type const& t) const {
  return static_cast<std::int32_t>(groups[static_cast<std::size_t>(t.group)].members.size());
}

SHUNT_INLINE operation exact_shop::operation_of(type const& t, std::int32_t k) const {
  auto const& [p, m] =
      groups[static_cast<std::size_t>(t.group)].members[static_cast<std::size_t>(k)];
  return {t.kind, p, t.stage, m};
}

SHUNT_INLINE void exact_shop::add_types(pipeline_job const& job, std::int32_t g, bool split) {
  auto const& own = groups[static_cast<std::size_t>(g)];
  auto const add = [&](op_kind kind, stage_id s, std::int32_t before, std::int64_t stash) {
    rank_id const here = own.hosts[s.index()];
    type t{.kind = kind,
           .stage = s,
           .rank = here.value(),
           .group = g,
           .before = before,
           .stash = stash,
           .first = operations};
    auto const& [p, m] = own.members.front();
    t.duration = cost_of(job, operation{kind, p, s, m}, here);
    if (before != none)
      t.delay = job.transfer(rank_id{types[static_cast<std::size_t>(before)].rank}, here);
    of_rank[here.index()].push_back(static_cast<std::int32_t>(types.size()));
    operations += static_cast<std::int32_t>(own.members.size());
    types.push_back(t);
    return static_cast<std::int32_t>(types.size()) - 1;
  };
  std::int32_t last = none;
  for (stage_id s : ids<stage_id>(job.stages))
    last = add(op_kind::forward, s, last, job.stash.forward[s]);
  for (std::int32_t s = job.stages; s-- > 0;) {
    auto const whole = job.stash.forward[s], early = job.stash.backward_input[s];
    last =
        add(split ? op_kind::backward_input : op_kind::backward, s, last, split ? -early : -whole);
    if (split) add(op_kind::backward_weight, s, last, early - whole);
  }
}

SHUNT_INLINE void exact_shop::limit(std::size_t r) {
  if (cap[r] == unlimited) return;
  std::vector<std::int32_t> forwards;
  for (std::int32_t const t : of_rank[r])
    if (types[static_cast<std::size_t>(t)].kind == op_kind::forward) forwards.push_back(t);
  crowded[r] = forwards.size() > 1;
  if (forwards.size() != 1) return;
  auto& forward = types[static_cast<std::size_t>(forwards.front())];
  for (std::int32_t const t : of_rank[r]) {
    auto const kind = types[static_cast<std::size_t>(t)].kind;
    if (kind == op_kind::backward_weight) forward.after_weight = t;
    if (kind == op_kind::backward || kind == op_kind::backward_input) forward.after_input = t;
  }
}

SHUNT_INLINE exact_search::exact_search(exact_shop const& shop, std::int64_t& nodes_left,
                                        std::stop_token const& stop)
    : shop_(shop), nodes_left_(nodes_left), stop_(stop) {
  auto const all = static_cast<std::size_t>(shop.operations);
  for (auto* list : {&end_, &head_, &latest_}) list->resize(all, 0);
  done_.resize(shop.types.size(), 0);
  held_.resize(shop.types.size(), false);
  order_.resize(shop.of_rank.size());
  free_.resize(shop.of_rank.size(), 0);
  stash_.resize(shop.of_rank.size(), 0);
}

SHUNT_INLINE void exact_search::set_windows(std::vector<ticks> const& release,
                                            std::vector<ticks> const& deadline) {
  failed_.clear();
  std::fill(done_.begin(), done_.end(), 0);
  free_ = release;
  find_heads();
  find_latest_ends(deadline);
}

SHUNT_INLINE exact_search::search_result exact_search::search() {
  std::fill(done_.begin(), done_.end(), 0);
  std::fill(stash_.begin(), stash_.end(), 0);
  std::fill(held_.begin(), held_.end(), false);
  for (auto& list : order_) list.clear();
  left_ = shop_.operations;
  return descend();
}

SHUNT_INLINE std::pair<std::int32_t, std::int32_t> exact_search::room_before(type const& f,
                                                                             std::int32_t k) const {
  auto const whole = f.stash, most = shop_.cap[at(f.rank)];
  auto const needed = (k + 1) * whole - most;
  if (needed <= 0) return {0, 0};
  auto const inputs = ceil_divide<std::int64_t>(needed, whole);
  std::int64_t weights = 0;
  if (f.after_weight != none) {
    auto const late = -kind(f.after_weight).stash, early = whole - late;
    if (late > 0 && needed > early * k)
      weights = ceil_divide<std::int64_t>(needed - early * k, late);
  }
  return {static_cast<std::int32_t>(inputs), static_cast<std::int32_t>(weights)};
}

SHUNT_INLINE void exact_search::find_heads() {
  for (std::size_t g = 0, first = 0; g < shop_.groups.size(); ++g) {
    std::size_t last = first;
    while (last < shop_.types.size() && at(shop_.types[last].group) == g) ++last;
    auto const count = static_cast<std::int32_t>(shop_.groups[g].members.size());
    auto const ended = [&](std::int32_t t, std::int32_t k) {
      auto const o = at(kind(t).first + k);
      return k < done_[at(t)] ? end_[o] : head_[o] + kind(t).duration;
    };
    for (std::int32_t k = 0; k < count; ++k)
      for (std::size_t i = first; i < last; ++i) {
        if (k < done_[i]) continue;
        type const& t = shop_.types[i];
        ticks h = free_[at(t.rank)];
        if (k > 0) h = std::max(h, ended(static_cast<std::int32_t>(i), k - 1));
        if (t.before != none) h = std::max(h, ended(t.before, k) + t.delay);
        if (t.after_input != none || t.after_weight != none) {
          auto const [inputs, weights] = room_before(t, k);
          if (inputs > 0) h = std::max(h, inputs > k ? whenever : ended(t.after_input, inputs - 1));
          if (weights > 0)
            h = std::max(h, weights > k ? whenever : ended(t.after_weight, weights - 1));
        }
        head_[at(t.first + k)] = h;
      }
    first = last;
  }
}

SHUNT_INLINE void exact_search::find_latest_ends(std::vector<ticks> const& deadline) {
  for (type const& t : shop_.types)
    for (std::int32_t k = 0; k < shop_.count(t); ++k)
      latest_[at(t.first + k)] = deadline[at(t.rank)];
  for (std::size_t g = 0, first = 0; g < shop_.groups.size(); ++g) {
    std::size_t last = first;
    while (last < shop_.types.size() && at(shop_.types[last].group) == g) ++last;
    auto const count = static_cast<std::int32_t>(shop_.groups[g].members.size());
    for (std::int32_t k = count; k-- > 0;)
      for (std::size_t i = last; i-- > first;) {
        type const& t = shop_.types[i];
        auto const own = at(t.first + k);
        if (k + 1 < count) latest_[own] = std::min(latest_[own], latest_[own + 1] - t.duration);
        // work that must follow on the same rank
        ticks behind = 0;
        for (std::int32_t const other : shop_.of_rank[at(t.rank)]) {
          type const& u = kind(other);
          if (u.group != t.group || u.stage != t.stage) continue;
          bool const later = place(u.kind) > place(t.kind);
          behind += (count - k - (later ? 0 : 1)) *
                    (later || other == static_cast<std::int32_t>(i) ? u.duration : 0);
        }
        latest_[own] = std::min(latest_[own], deadline[at(t.rank)] - behind);
        ticks const start = latest_[own] - t.duration;
        if (t.before != none) lower(at(kind(t.before).first + k), start - t.delay);
        if (t.after_input != none || t.after_weight != none) {
          auto const [inputs, weights] = room_before(t, k);
          if (inputs > 0 && inputs <= k) lower(at(kind(t.after_input).first + inputs - 1), start);
          if (weights > 0 && weights <= k)
            lower(at(kind(t.after_weight).first + weights - 1), start);
        }
      }
    first = last;
  }
}

SHUNT_INLINE int exact_search::place(op_kind k) {
  return k == op_kind::forward ? 0 : k == op_kind::backward_weight ? 2 : 1;
}

SHUNT_INLINE bool exact_search::fits() {
  for (std::size_t r = 0; r < shop_.of_rank.size(); ++r) {
    waiting_.clear();
    for (std::int32_t const i : shop_.of_rank[r]) {
      type const& t = kind(i);
      for (std::int32_t k = done_[at(i)]; k < shop_.count(t); ++k) {
        auto const o = at(t.first + k);
        if (head_[o] + t.duration > latest_[o]) return false;
        waiting_.push_back({head_[o], latest_[o], t.duration});
      }
    }
    std::sort(waiting_.begin(), waiting_.end(),
              [](piece const& a, piece const& b) { return a.head < b.head; });
    auto const later = [](piece const& a, piece const& b) { return a.latest > b.latest; };
    ready_.clear();
    ticks now = 0;
    for (std::size_t next = 0; next < waiting_.size() || !ready_.empty();) {
      if (ready_.empty()) now = waiting_[next].head;
      for (; next < waiting_.size() && waiting_[next].head <= now; ++next) {
        ready_.push_back(waiting_[next]);
        std::push_heap(ready_.begin(), ready_.end(), later);
      }
      std::pop_heap(ready_.begin(), ready_.end(), later);
      piece& first = ready_.back();
      ticks const until = next < waiting_.size() ? std::min(waiting_[next].head, now + first.left)
                                                 : now + first.left;
      first.left -= until - now;
      now = until;
      if (now + first.left > first.latest) return false;
      if (first.left == 0)
        ready_.pop_back();
      else
        std::push_heap(ready_.begin(), ready_.end(), later);
    }
  }
  return true;
}

SHUNT_INLINE std::optional<ticks> exact_search::start_of(std::int32_t i) const {
  type const& t = kind(i);
  std::int32_t const k = done_[at(i)];
  if (k == shop_.count(t) || held_[at(i)]) return std::nullopt;
  if (t.before != none && done_[at(t.before)] <= k) return std::nullopt;
  if (t.stash > 0 && stash_[at(t.rank)] + t.stash > shop_.cap[at(t.rank)]) return std::nullopt;
  ticks const input = t.before == none ? never : end_[at(kind(t.before).first + k)] + t.delay;
  return std::max(input, free_[at(t.rank)]);
}

SHUNT_INLINE exact_search::search_result exact_search::descend() {
  if (left_ == 0) return search_result::found;
  if (nodes_left_ <= 0 || (nodes_left_ % 256 == 0 && stop_.stop_requested()))
    return search_result::limit;
  --nodes_left_;
  find_heads();
  if (!fits()) return search_result::impossible;
  auto [key, state] = memory();
  if (dominated(key, state)) return search_result::impossible;

  std::int32_t chosen = none;
  ticks first_end = whenever;
  for (std::size_t i = 0; i < shop_.types.size(); ++i)
    if (auto const start = start_of(static_cast<std::int32_t>(i));
        start && *start + shop_.types[i].duration < first_end) {
      first_end = *start + shop_.types[i].duration;
      chosen = static_cast<std::int32_t>(i);
    }
  if (chosen != none) {
    auto const rank = at(kind(chosen).rank);
    std::vector<branch> branches;
    for (std::int32_t const i : shop_.of_rank[rank])
      if (auto const start = start_of(i); start && (i == chosen || *start < first_end))
        branches.push_back(
            {latest_[at(kind(i).first + done_[at(i)])] - kind(i).duration, i, false});
    std::sort(branches.begin(), branches.end(), [](branch const& a, branch const& b) {
      return std::pair(a.latest_start, a.of) < std::pair(b.latest_start, b.of);
    });
    if (shop_.crowded[rank] && kind(chosen).kind == op_kind::forward)
      branches.push_back({0, chosen, true});
    for (branch const& b : branches)
      if (auto const below = b.hold ? hold(b.of) : start(b.of); below != search_result::impossible)
        return below;
  }
  auto& known = failed_[std::move(key)];
  if (known.size() < 64) known.push_back(std::move(state));
  return search_result::impossible;
}

SHUNT_INLINE exact_search::search_result exact_search::hold(std::int32_t i) {
  held_[at(i)] = true;
  auto const below = descend();
  if (below == search_result::impossible) held_[at(i)] = false;
  return below;
}

SHUNT_INLINE exact_search::search_result exact_search::start(std::int32_t i) {
  type const& t = kind(i);
  auto const rank = at(t.rank);
  ticks const was_free = free_[rank];
  auto const o = at(t.first + done_[at(i)]);
  end_[o] = *start_of(i) + t.duration;
  free_[rank] = end_[o];
  stash_[rank] += t.stash;
  ++done_[at(i)];
  --left_;
  order_[rank].push_back(i);
  std::vector<std::int32_t> freed;
  if (t.kind == op_kind::forward && shop_.crowded[rank])
    for (std::int32_t const other : shop_.of_rank[rank])
      if (held_[at(other)]) {
        held_[at(other)] = false;
        freed.push_back(other);
      }
  auto const below = descend();
  if (below != search_result::impossible) return below;
  for (std::int32_t const other : freed) held_[at(other)] = true;
  order_[rank].pop_back();
  ++left_;
  --done_[at(i)];
  stash_[rank] -= t.stash;
  free_[rank] = was_free;
  return below;
}

SHUNT_INLINE std::pair<std::string, std::vector<ticks>> exact_search::memory() const {
  std::string key;
  std::vector<ticks> state;
  for (std::size_t i = 0; i < shop_.types.size(); ++i) {
    type const& t = shop_.types[i];
    auto const count = done_[i];
    key.push_back(static_cast<char>(count % 127 + (held_[i] ? 127 : 0)));
    if (shop_.count(t) > 126) key.push_back(static_cast<char>(count / 127));
    if (t.before == none) continue;
    for (std::int32_t k = count; k < done_[at(t.before)]; ++k)
      state.push_back(std::max(free_[at(t.rank)], end_[at(kind(t.before).first + k)] + t.delay));
  }
  for (std::size_t r = 0; r < free_.size(); ++r) {
    bool const busy =
        std::any_of(shop_.of_rank[r].begin(), shop_.of_rank[r].end(),
                    [&](std::int32_t i) { return done_[at(i)] < shop_.count(kind(i)); });
    if (busy) state.push_back(free_[r]);
  }
  return {std::move(key), std::move(state)};
}

SHUNT_INLINE bool exact_search::dominated(std::string const& key,
                                          std::vector<ticks> const& state) const {
  auto const known = failed_.find(key);
  if (known == failed_.end()) return false;
  return std::any_of(known->second.begin(), known->second.end(),
                     [&](std::vector<ticks> const& earlier) {
                       return std::equal(earlier.begin(), earlier.end(), state.begin(),
                                         [](ticks a, ticks b) { return a <= b; });
                     });
}

}  // namespace shunt::detail
