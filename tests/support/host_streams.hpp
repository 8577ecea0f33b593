#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shunt/execute/elements.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/stream_executors.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"
#include "support/random_choices.hpp"

namespace shunt::tests {

/// Streams and graphs on the host that keep CUDA's rules and nothing more: whatever events don't
/// order runs in an order drawn by lot. What CUDA passes over in silence is an error here: waiting
/// for an event that was not recorded, a capture that reaches outside of itself.
class host_streams {
 public:
  enum class temper { eager, lazy, random };  ///< at once, only when the host waits, or by lot

  explicit host_streams(std::uint64_t seed, temper t = temper::random)
      : random_cases_(seed), temper_(t), favours_(random_cases_.below(3)) {}
  host_streams(host_streams const&) = delete;
  host_streams& operator=(host_streams const&) = delete;

  struct stream_ref {
    std::int32_t id = 0;
  };
  struct stream {
    explicit stream(std::int32_t n) : id(n) {}
    stream(stream&&) = default;
    stream& operator=(stream&&) = default;
    operator stream_ref() const { return {id}; }
    std::int32_t id;
  };

  /// CUDA's idea of an event: what counts is the record before the wait.
  struct event_state {
    bool timed = false;
    std::int64_t recorded = 0, done = 0;  // how often
    ticks time = 0;
    std::int64_t capture =
        0;  // the capture in which it was recorded last, and what stood before it there
    std::vector<std::int32_t> behind{};
  };
  struct event {
    explicit event(bool timed) : state(std::make_shared<event_state>()) { state->timed = timed; }
    event(event&&) = default;
    event& operator=(event&&) = default;
    std::shared_ptr<event_state> state;
  };

  class memory {
   public:
    explicit memory(std::size_t size) : size_(size), lines_((size + 63) / 64) {}
    memory(memory&&) = default;
    memory& operator=(memory&&) = default;
    std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(lines_)).first(size_); }

   private:
    struct alignas(64) line {
      std::byte bytes[64]{};
    };
    std::size_t size_;
    std::vector<line> lines_;
  };

  struct node {
    std::string kind{};
    std::function<void()> run{};
    std::vector<std::int32_t> after{};
  };
  using graph = std::shared_ptr<std::vector<node> const>;

  stream make_stream() {
    outside_capture("make_stream");
    queues_.emplace_back();
    return stream(static_cast<std::int32_t>(queues_.size()) - 1);
  }
  event make_event() { return event(false); }
  event make_timed_event() { return event(true); }
  memory make_memory(std::size_t size) {
    outside_capture("make_memory");
    return memory(size);
  }
  memory make_host_memory(std::size_t size) { return make_memory(size); }

  void move(stream_ref on, std::span<stream_part const> parts, std::int64_t const* guard) {
    enqueue(on, "move", [parts = std::vector(parts.begin(), parts.end()), guard] {
      bool const runs = !guard || *guard != 0;
      for (auto const& p : parts) {
        auto const count = p.count && runs ? *p.count : p.bytes;
        bool const refused = count < 0 || count > p.bytes;
        if (p.refused) *p.refused = refused ? count : 0;
        if (!runs || refused) continue;
        if (p.count_to) *p.count_to = count;
        if (count > 0) std::memmove(p.to, p.from, static_cast<std::size_t>(count));
      }
    });
  }
  void fold(stream_ref on, element type, reduction how, std::span<std::byte const* const> sources,
            std::span<std::byte* const> targets, std::size_t size, std::int64_t const* guard) {
    if (sources.size() > most_members_on_streams || targets.size() > most_members_on_streams)
      throw std::logic_error("fold: too many");
    enqueue(on, "fold",
            [=, from = std::vector(sources.begin(), sources.end()),
             to = std::vector(targets.begin(), targets.end())] {
              if (guard && *guard == 0) return;
              std::vector<std::byte> sum(from[0], from[0] + size);
              for (std::size_t k = 1; k < from.size(); ++k)
                accumulate(type, how, sum, {from[k], size});
              for (auto* t : to) std::copy(sum.begin(), sum.end(), t);
            });
  }
  void fill(stream_ref on, std::span<std::byte> target, std::int64_t const* guard) {
    enqueue(on, "fill", [=] {
      if (!guard || *guard != 0) std::memset(target.data(), 0, target.size());
    });
  }
  void copy_to_host(stream_ref on, std::span<std::byte const> from, std::span<std::byte> to) {
    enqueue(on, "copy_to_host", [=] { std::memcpy(to.data(), from.data(), to.size()); });
  }
  void set_word(std::int64_t& word, std::int64_t value) { word = value; }
  void copy_to_device(stream_ref on, std::span<std::byte const> from, std::span<std::byte> to) {
    enqueue(on, "copy_to_device", [to, kept = std::vector(from.begin(), from.end())] {
      std::memcpy(to.data(), kept.data(), to.size());
    });
  }
  void call(stream_ref on, std::function<void()> f) { enqueue(on, "call", std::move(f)); }

  void record(event& e, stream_ref on) {
    auto& s = *e.state;
    if (auto* const here = captured(on)) {
      s.capture = captures_;
      s.behind = *here;
      return;
    }
    s.capture = 0;
    enqueue(on, "record", [this, state = e.state, n = ++s.recorded] { happened(*state, n); });
    ++records_;
  }
  void wait(stream_ref on, event& e) {
    if (!e.state->timed && ++waits_ == drop_wait)
      return;  // those for timed events keep times in order, not bytes
    auto& s = *e.state;
    if (s.capture != 0) {
      if (!capture_ || s.capture != captures_)
        throw std::logic_error("a stream waits for an event of a capture that is over");
      auto* here = captured(on);
      if (!here) here = &capture_->fronts.emplace_back(on.id, std::vector<std::int32_t>{}).second;
      for (auto const n : s.behind)
        if (std::find(here->begin(), here->end(), n) == here->end()) here->push_back(n);
      std::sort(here->begin(), here->end());
      return;
    }
    if (captured(on)) throw std::logic_error("a capture waits for an event outside of it");
    if (s.recorded == 0)
      throw std::logic_error("a stream waits for an event that was not recorded: no wait at all");
    queues_[static_cast<std::size_t>(on.id)].push_back({{}, e.state, s.recorded, ++turns_});
    loiter();
  }
  void finish(event& e) {
    outside_capture("finish");
    if (e.state->recorded == 0)
      throw std::logic_error("the host waits for an event that was not recorded");
    while (e.state->done < e.state->recorded)
      if (!step()) throw std::logic_error("streams wait for each other");
  }
  bool finished(event& e) {
    outside_capture("finished");
    loiter();
    return e.state->done == e.state->recorded;
  }
  ticks elapsed(event& from, event& to) {
    for (auto const* e : {&from, &to})
      if (!e->state->timed || e->state->recorded == 0 || e->state->done < e->state->recorded)
        throw std::logic_error("an event has no time");
    return to.state->time - from.state->time;
  }
  void synchronize() {
    outside_capture("synchronize");
    while (step()) {}
    for (auto const& q : queues_)
      if (!q.empty()) throw std::logic_error("streams wait for each other");
  }
  int range(std::string const& name) {
    if (keep_names) names.push_back(name);
    return 0;
  }

  void begin_capture(stream_ref on) {
    outside_capture("begin_capture");
    ++captures_;
    capture_.emplace();
    capture_->fronts.emplace_back(on.id, std::vector<std::int32_t>{});
  }
  graph_change end_capture(stream_ref on, graph& into) {
    if (!capture_ || capture_->fronts.front().first != on.id)
      throw std::logic_error("end_capture: nothing was begun here");
    auto const done = std::exchange(capture_, {});
    std::vector<bool> leads(done->nodes.size(), false);
    for (auto const n : done->fronts.front().second) leads[static_cast<std::size_t>(n)] = true;
    for (auto n = leads.size(); n-- > 0;)
      if (leads[n])
        for (auto const before : done->nodes[n].after)
          leads[static_cast<std::size_t>(before)] = true;
    if (std::find(leads.begin(), leads.end(), false) != leads.end())
      throw std::logic_error("work of a capture doesn't lead back to its stream");
    bool const had = into != nullptr;
    bool const same = had && std::equal(into->begin(), into->end(), done->nodes.begin(),
                                        done->nodes.end(), [](node const& a, node const& b) {
                                          return a.kind == b.kind && a.after == b.after;
                                        });
    into = std::make_shared<std::vector<node> const>(done->nodes);
    return !had ? graph_change::made : same ? graph_change::updated : graph_change::remade;
  }
  void abandon_capture(stream_ref) noexcept { capture_.reset(); }
  void launch(graph const& g, stream_ref on) {
    if (!g) throw std::logic_error("launch: no graph");
    for (auto const& n : *g)
      if (n.kind == "stamp") n.run();  // recorded once more, from now on
    enqueue(on, "launch", [this, g] {
      std::vector<bool> done(g->size(), false);
      for (std::size_t left = g->size(); left > 0; --left) {
        std::vector<std::size_t> able;
        for (std::size_t n = 0; n < g->size(); ++n)
          if (!done[n] && std::all_of((*g)[n].after.begin(), (*g)[n].after.end(),
                                      [&](auto k) { return done[static_cast<std::size_t>(k)]; }))
            able.push_back(n);
        auto const n = able[pick(able.size())];
        now_ += 1;
        (*g)[n].run();
        done[n] = true;
      }
    });
  }
  void stamp(event& e, stream_ref on) {
    if (!captured(on)) throw std::logic_error("stamp: outside of a capture");
    // the first call of a launch counts as the record, the second as what makes it happen
    enqueue(on, "stamp", [this, state = e.state] {
      if (state->done == state->recorded)
        ++state->recorded;
      else
        happened(*state, state->recorded);
    });
  }

  std::int64_t drop_wait = 0;       ///< the n-th wait (from 1) is forgotten
  std::size_t hardware_queues = 0;  ///< that the streams share, each in order; 0: one each
  bool keep_names = false;
  std::vector<std::string> names{};
  [[nodiscard]] std::int64_t waits() const { return waits_; }
  [[nodiscard]] std::int64_t records() const { return records_; }

 private:
  struct entry {
    std::function<void()> run{};
    std::shared_ptr<event_state> waits_for{};
    std::int64_t record = 0;
    std::int64_t turn = 0;  // in order of submission
    [[nodiscard]] bool able() const { return !waits_for || waits_for->done >= record; }
  };
  struct capture {
    std::vector<node> nodes;
    std::deque<std::pair<std::int32_t, std::vector<std::int32_t>>>
        fronts;  // by stream: what its next node comes after
  };

  void happened(event_state& s, std::int64_t n) {
    s.done = n;
    s.time = now_;
  }
  void outside_capture(char const* what) const {
    if (capture_) throw std::logic_error(std::string(what) + " while capturing");
  }
  std::vector<std::int32_t>* captured(stream_ref on) {
    if (!capture_) return nullptr;
    for (auto& [id, front] : capture_->fronts)
      if (id == on.id) return &front;
    return nullptr;
  }
  void enqueue(stream_ref on, char const* kind, std::function<void()> f) {
    if (auto* const here = captured(on)) {
      capture_->nodes.push_back({kind, std::move(f), *here});
      *here = {static_cast<std::int32_t>(capture_->nodes.size()) - 1};
      return;
    }
    outside_capture(kind);
    queues_[static_cast<std::size_t>(on.id)].push_back({std::move(f), {}, 0, ++turns_});
    loiter();
  }
  void loiter() {
    if (capture_ || temper_ == temper::lazy) return;
    auto const steps = temper_ == temper::eager      ? std::int32_t{1} << 20
                       : random_cases_.below(4) == 0 ? random_cases_.below(12)
                                                     : 0;
    for (std::int32_t k = 0; k < steps && step(); ++k) {}
  }
  std::size_t pick(std::size_t n) {
    switch (favours_) {
      case 0: return n - 1;
      case 1: return 0;
      default: return static_cast<std::size_t>(random_cases_.below(static_cast<std::int64_t>(n)));
    }
  }
  /// Whether a stream that shares a hardware queue was given something before this one's head.
  [[nodiscard]] bool held_up(std::size_t q) const {
    if (hardware_queues == 0) return false;
    for (auto other = q % hardware_queues; other < queues_.size(); other += hardware_queues)
      if (!queues_[other].empty() && queues_[other].front().turn < queues_[q].front().turn)
        return true;
    return false;
  }
  /// Runs one thing at the head of a stream; false where nothing is able to run.
  bool step() {
    std::vector<std::size_t> able;
    for (std::size_t q = 0; q < queues_.size(); ++q)
      if (!queues_[q].empty() && queues_[q].front().able() && !held_up(q)) able.push_back(q);
    if (able.empty()) return false;
    if (random_cases_.below(16) == 0) favours_ = random_cases_.below(3);
    auto& queue = queues_[able[pick(able.size())]];
    auto const now = std::move(queue.front());
    queue.pop_front();
    now_ += 1;
    if (now.run) now.run();
    return true;
  }

  random_choices random_cases_;
  temper temper_;
  std::int32_t favours_;  // the last, the first, or any that is able
  std::deque<std::deque<entry>> queues_{};
  std::optional<capture> capture_{};
  std::int64_t captures_ = 0, waits_ = 0, records_ = 0, turns_ = 0;
  ticks now_ = 0;
};

static_assert(calling_stream_system<host_streams> && graph_system<host_streams>);

/// Streams of a device; with some seeds they share few hardware queues.
[[nodiscard]] inline std::shared_ptr<host_streams> make_host_streams(std::uint64_t seed,
                                                                     host_streams::temper t) {
  auto system = std::make_shared<host_streams>(seed, t);
  if (seed % 3 == 2) system->hardware_queues = static_cast<std::size_t>(1 + seed / 3 % 8);
  return system;
}

/// An executor with streams of its own.
template <class Executor>
struct with_streams {
  std::shared_ptr<host_streams> system;
  Executor executor;

  template <class Work>
  [[nodiscard]] auto open(Work& w, std::int64_t first_iteration = 0) const {
    return executor.open(w, first_iteration);
  }
  template <class Work>
  outcome run(program const& p, Work& w) const {
    return executor.run(p, w);
  }
};

[[nodiscard]] inline auto on_host_streams(std::uint64_t seed,
                                          std::vector<failure_point> failures = {},
                                          host_streams::temper t = host_streams::temper::random) {
  auto system = make_host_streams(seed, t);
  return with_streams<stream_executor<host_streams>>{
      system, {.system = system.get(), .failures = std::move(failures)}};
}
[[nodiscard]] inline auto as_host_graphs(std::uint64_t seed,
                                         std::vector<failure_point> failures = {},
                                         host_streams::temper t = host_streams::temper::random) {
  auto system = make_host_streams(seed, t);
  return with_streams<graph_executor<host_streams>>{
      system, {.system = system.get(), .failures = std::move(failures), .timed = true}};
}

}  // namespace shunt::tests
