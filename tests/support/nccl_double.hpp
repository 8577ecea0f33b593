#pragma once
/// NCCL and the streams of several devices, emulated in host memory for all ranks of one process:
/// what `nccl_library` and `stream_system` ask for. It obeys NCCL's rules
/// (include/shunt/nccl/library.hpp) and records what was submitted; what breaks a rule is a
/// mistake, kept as text. Streams run when somebody asks for their state, one step each in an order
/// that a seed decides, so that a forgotten wait shows.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/execute/elements.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/execute/stream_work.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt::tests::nccl_double {

struct event_state {
  std::int64_t wanted = 0, reached = 0;  // records enqueued, and come to
  std::chrono::steady_clock::time_point at{};
};

struct operation_state;
struct launch;
struct member;

struct stream_task_state {
  std::function<void()> run{};  // of all but launches and waits
  std::int64_t turn = 0;        // in order of submission
  std::shared_ptr<event_state> event{};
  std::int64_t awaited = 0;
  std::shared_ptr<launch> group{};
};

struct stream_state {
  int device = 0;
  std::size_t number = 0;  // of the device's streams
  std::deque<stream_task_state> queue{};
  std::set<member*> used_by{};
};

enum class kind : std::uint8_t { send, receive, all_reduce, reduce_scatter, all_gather };

/// One operation, as it was submitted.
struct record {
  int communicator = 0, place = 0, group = 0;
  kind what = kind::send;
  int peer = -1;
  std::size_t count = 0;
  element type = element::bytes;
  bool operator==(record const&) const = default;
};

struct operation_state {
  kind what = kind::send;
  std::byte const* from = nullptr;
  std::byte* to = nullptr;
  std::size_t count = 0;
  element type = element::bytes;
  reduction how = reduction::sum;
  int peer = -1;
  member* of = nullptr;
  launch* in = nullptr;
  [[nodiscard]] std::size_t bytes() const {
    return count * static_cast<std::size_t>(size_of(type));
  }
  [[nodiscard]] bool collective() const { return what >= kind::all_reduce; }
};

/// What one group submits to one communicator.
struct launch {
  member* of = nullptr;
  std::vector<std::unique_ptr<operation_state>> operations{};
  std::vector<stream_state*> streams{};
  std::size_t open = 0;
  bool started = false;
};

struct communicator_state {
  int number = 0;
  int size = 0;
  std::vector<member*> members{};  // by place; null: not here yet
  nccl_status failure = nccl_status::success;
  std::string why{};
  std::set<std::pair<int, int>> connected{};
  bool collectives_connected = false;
  std::map<std::pair<int, int>, std::deque<operation_state*>> sends{},
      receives{};                                           // by (from, to): running
  std::vector<std::deque<operation_state*>> collectives{};  // by place: running
  struct division {                                         // the n-th split, or the shrinking
    std::map<int, std::pair<int, member*>> calls{};  // by place: colour, and what comes of it
    std::map<int, int> orders{};
    std::vector<int> left_out{};
  };
  std::deque<division> splits{};
  division shrinking{};
  [[nodiscard]] bool complete() const {
    return std::none_of(members.begin(), members.end(), [](member* m) { return m == nullptr; });
  }
};

struct member {
  std::shared_ptr<communicator_state> of{};  // null until a split has told
  int place = 0, device = 0;
  bool twice = false, aborted = false, finalizing = false, destroyed = false, dead = false,
       is_null = false;
  std::size_t splits = 0;
  bool waits_for_split = false, waits_for_shrink = false;
  int polls = 0;                                     // at least so often it is still in progress
  std::deque<std::shared_ptr<launch>> submitting{};  // until their peers were met
  std::deque<std::shared_ptr<launch>> issued{};      // in order; the first may run
  std::int64_t collectives = 0;                      // submitted
};

struct settings {
  std::uint64_t seed = 1;
  int polls = 2;              // a call is in progress for so many questions at least
  bool moves_bytes = true;    // false: memory is never touched, so that it need not exist
  bool notices_death = true;  // whether members learn that one of them is dead
  std::size_t queues = 0;     // hardware queues that a device's streams share; 0: one each
};

class machine {
 public:
  /// Forgets everything, between tests.
  void reset(settings s = {}) {
    std::lock_guard const lock(mutex_);
    settings_ = s;
    engine_.seed(s.seed);
    streams_.clear();
    members_.clear();
    rendezvous_of_.clear();
    mistakes_.clear();
    records_.clear();
    made_on_.clear();
    turns_ = 0;
    groups_ = numbers_ = 0;
  }
  [[nodiscard]] std::vector<std::string> mistakes() {
    std::lock_guard const lock(mutex_);
    return mistakes_;
  }
  [[nodiscard]] std::vector<record> records() {
    std::lock_guard const lock(mutex_);
    return records_;
  }
  /// What every member waits for, one line each, sorted.
  [[nodiscard]] std::vector<std::string> stuck() {
    std::lock_guard const lock(mutex_);
    for (int n = 0; n < 64; ++n) progress();
    std::vector<std::string> lines;
    for (auto const& m : members_) {
      if (!m->of || m->aborted || m->dead) continue;
      auto const& front = !m->issued.empty()       ? m->issued.front()
                          : !m->submitting.empty() ? m->submitting.front()
                                                   : nullptr;
      if (!front) continue;
      for (auto const& o : front->operations)
        if (open(*o)) lines.push_back(name(*m) + " waits " + why(*m, *o));
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  /// A process ends: it submits nothing more, and what it had under way is gone.
  void kill(int device) {
    std::lock_guard const lock(mutex_);
    for (auto const& m : members_)
      if (m->device == device && !m->aborted && !m->destroyed) {
        drop(*m);
        m->dead = true;
      }
    for (auto const& s : streams_)
      if (s->device == device) s->queue.clear();
  }
  [[nodiscard]] std::size_t live_communicators() {
    std::lock_guard const lock(mutex_);
    return static_cast<std::size_t>(
        std::count_if(members_.begin(), members_.end(), [](auto const& m) {
          return !m->aborted && !m->destroyed && !m->dead && !m->is_null;
        }));
  }

  // What the API and the system below do.

  stream_state* make_stream(int device) {
    std::lock_guard const lock(mutex_);
    streams_.push_back(std::make_unique<stream_state>());
    streams_.back()->device = device;
    streams_.back()->number = made_on_[device]++;
    return streams_.back().get();
  }
  void drop_stream(stream_state* s) {
    std::lock_guard const lock(mutex_);
    for (member* m : s->used_by)
      if (!m->aborted && !m->destroyed && !m->dead)
        mistakes_.push_back("a stream ends before " + name(*m));
    std::erase_if(streams_, [&](auto const& held) { return held.get() == s; });
  }
  /// Devices go on while the host that wrote the word does something else.
  void set_word(std::int64_t& word, std::int64_t value) {
    std::lock_guard const lock(mutex_);
    word = value;
    progress();
  }
  void enqueue(stream_state* s, std::function<void()> f) {
    std::lock_guard const lock(mutex_);
    append(*s, {.run = std::move(f)});
  }
  void enqueue_record(stream_state* s, std::shared_ptr<event_state> const& e) {
    std::lock_guard const lock(mutex_);
    append(*s, {.run = [e, n = ++e->wanted] {
      e->reached = std::max(e->reached, n), e->at = std::chrono::steady_clock::now();
    }});
  }
  void enqueue_wait(stream_state* s, std::shared_ptr<event_state> const& e) {
    std::lock_guard const lock(mutex_);
    append(*s, {.event = e, .awaited = e->wanted});
  }
  [[nodiscard]] bool finished(event_state const& e) {
    std::lock_guard const lock(mutex_);
    progress();
    return e.reached >= e.wanted;
  }
  [[nodiscard]] std::int64_t between(event_state const& a, event_state const& b) {
    std::lock_guard const lock(mutex_);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(b.at - a.at).count();
  }
  /// Whether a stream runs dry without a further call.
  [[nodiscard]] bool comes_to_its_end(stream_state const* s) {
    std::lock_guard const lock(mutex_);
    for (int n = 0; n < 64; ++n) progress();
    return s->queue.empty();
  }
  [[nodiscard]] bool idle(int device) {
    std::lock_guard const lock(mutex_);
    progress();
    return std::all_of(streams_.begin(), streams_.end(),
                       [&](auto const& s) { return s->device != device || s->queue.empty(); });
  }

  [[nodiscard]] int new_identity() {
    std::lock_guard const lock(mutex_);
    return ++identities_;
  }
  nccl_status init(member*& made, int size, int identity, int place, int device) {
    std::lock_guard const lock(mutex_);
    if (size < 1 || place < 0 || place >= size) return nccl_status::invalid_argument;
    auto& rendezvous = rendezvous_of_[identity];
    if (!rendezvous) rendezvous = new_communicator(size);
    made = new_member(device);
    made->of = rendezvous;
    made->place = place;
    auto& member = rendezvous->members[static_cast<std::size_t>(place)];
    made->twice = member != nullptr;  // the others wait for a rank that never comes
    if (!member) join(*rendezvous, *made);
    return nccl_status::in_progress;
  }
  nccl_status split(member* parent, int colour, int order, member*& made) {
    std::lock_guard const lock(mutex_);
    if (auto const s = usable(parent, "split"); s != nccl_status::success) return s;
    demand_quiet(*parent, "is split");
    auto& splits = parent->of->splits;
    while (splits.size() <= parent->splits) splits.emplace_back();
    auto& d = splits[parent->splits++];
    made = new_member(parent->device);
    made->is_null = colour < 0;
    d.calls[parent->place] = {colour, made};
    d.orders[parent->place] = order;
    parent->waits_for_split = true;
    parent->polls = settings_.polls;
    if (d.calls.size() == static_cast<std::size_t>(parent->of->size)) divide(d);
    if (colour < 0) made = nullptr;
    return nccl_status::in_progress;
  }
  nccl_status shrink(member* parent, std::span<int const> left_out, member*& made) {
    std::lock_guard const lock(mutex_);
    if (parent == nullptr || parent->aborted || parent->destroyed)
      return nccl_status::invalid_argument;
    bool const noticed = parent->of->failure != nccl_status::success ||
                         (settings_.notices_death && one_is_dead(*parent->of));
    if (!noticed && (parent->polls > 0 || unsettled(*parent))) {
      mistakes_.push_back(name(*parent) + ": shrink while the call before is in progress");
      return nccl_status::invalid_argument;
    }
    drop(*parent);
    auto& d = parent->of->shrinking;
    std::vector<int> const list(left_out.begin(), left_out.end());
    if (d.calls.empty()) d.left_out = list;
    if (d.left_out != list)
      mistakes_.push_back(name(*parent) + " leaves out other ranks than those before it");
    made = new_member(parent->device);
    d.calls[parent->place] = {0, made};
    d.orders[parent->place] = parent->place;
    parent->waits_for_shrink = true;
    parent->polls = settings_.polls;
    if (d.calls.size() + list.size() == static_cast<std::size_t>(parent->of->size)) divide(d);
    return nccl_status::in_progress;
  }
  nccl_status finalize(member* m) {
    std::lock_guard const lock(mutex_);
    if (auto const s = usable(m, "finalize"); s != nccl_status::success) return s;
    m->finalizing = true;
    m->polls = settings_.polls;
    return nccl_status::in_progress;
  }
  nccl_status destroy(member* m) {
    std::lock_guard const lock(mutex_);
    if (m == nullptr || m->aborted || m->destroyed) return nccl_status::invalid_argument;
    if (!m->finalizing || unsettled(*m))
      mistakes_.push_back(name(*m) + " is destroyed before it was finalized");
    m->destroyed = true;
    return nccl_status::success;
  }
  nccl_status abort(member* m) {
    std::lock_guard const lock(mutex_);
    if (m == nullptr || m->aborted || m->destroyed) return nccl_status::invalid_argument;
    if (m->of) end_by_abort(*m);
    drop(*m);
    m->aborted = true;
    return nccl_status::success;
  }
  nccl_status state(member* m) {
    std::lock_guard const lock(mutex_);
    if (m == nullptr || m->aborted || m->destroyed) return nccl_status::invalid_argument;
    progress();
    // Of a parent the error stays what it was once its shrinking has ended.
    bool const shrinking = m->waits_for_shrink && (m->polls > 0 || unsettled(*m));
    if (m->of && m->of->failure != nccl_status::success && !shrinking) return m->of->failure;
    if (m->of && settings_.notices_death && !shrinking && one_is_dead(*m->of))
      return nccl_status::remote_error;
    if (m->polls > 0) {
      --m->polls;
      return nccl_status::in_progress;
    }
    if (unsettled(*m)) return nccl_status::in_progress;
    m->waits_for_split = false;
    return nccl_status::success;
  }
  [[nodiscard]] std::string last_error(member* m) {
    std::lock_guard const lock(mutex_);
    if (m == nullptr || !m->of) return {};
    if (settings_.notices_death && one_is_dead(*m->of)) return "a peer closed its connection";
    return m->of->why;
  }
  nccl_status submit(operation_state o, stream_state* s) {
    auto& mine = own_group();
    mine.operations.emplace_back(o, s);
    if (mine.depth > 0) return nccl_status::success;
    ++mine.depth;
    return end_group();
  }
  nccl_status start_group() {
    ++own_group().depth;
    return nccl_status::success;
  }
  nccl_status end_group() {
    auto& mine = own_group();
    if (mine.depth == 0) return nccl_status::invalid_usage;
    if (--mine.depth > 0) return nccl_status::success;
    auto const operations = std::exchange(mine.operations, {});
    std::lock_guard const lock(mutex_);
    if (operations.size() > nccl_group_limit) return nccl_status::invalid_usage;
    for (auto const& [o, s] : operations) {
      if (auto const usable_now = usable(o.of, "call"); usable_now != nccl_status::success)
        return usable_now;
      if (!o.collective() && (o.peer < 0 || o.peer >= o.of->of->size))
        return nccl_status::invalid_argument;
      if (o.count > 0 && (o.what == kind::receive ? o.to == nullptr : o.from == nullptr))
        return nccl_status::invalid_argument;
    }
    std::vector<std::shared_ptr<launch>> launches;
    auto const group = ++groups_;
    for (auto const& [o, s] : operations) {
      auto at = std::find_if(launches.begin(), launches.end(),
                             [&](auto const& l) { return l->of == o.of; });
      if (at == launches.end()) {
        launches.push_back(std::make_shared<launch>());
        launches.back()->of = o.of;
        at = launches.end() - 1;
      }
      auto& l = **at;
      l.operations.push_back(std::make_unique<operation_state>(o));
      l.operations.back()->in = &l;
      ++l.open;
      o.of->collectives += o.collective();
      if (std::find(l.streams.begin(), l.streams.end(), s) == l.streams.end())
        l.streams.push_back(s);
      records_.push_back({o.of->of->number, o.of->place, group, o.what, o.peer, o.count, o.type});
    }
    for (auto& l : launches) {
      l->of->polls = settings_.polls;
      for (auto* s : l->streams) s->used_by.insert(l->of);
      l->of->submitting.push_back(std::move(l));
    }
    return launches.empty() ? nccl_status::success : nccl_status::in_progress;
  }

 private:
  struct open_group {
    int depth = 0;
    std::vector<std::pair<operation_state, stream_state*>> operations{};
  };
  static open_group& own_group() {
    thread_local open_group mine;
    return mine;
  }

  static std::string name(member const& m) {
    return "rank " + std::to_string(m.place) + " of communicator " +
           (m.of ? std::to_string(m.of->number) : "?");
  }
  [[nodiscard]] member* new_member(int device) {
    members_.push_back(std::make_unique<member>());
    members_.back()->device = device;
    members_.back()->polls = settings_.polls;
    return members_.back().get();
  }
  [[nodiscard]] std::shared_ptr<communicator_state> new_communicator(int size) {
    auto c = std::make_shared<communicator_state>();
    c->number = numbers_++;
    c->size = size;
    c->members.resize(static_cast<std::size_t>(size));
    c->collectives.resize(static_cast<std::size_t>(size));
    return c;
  }
  void join(communicator_state& c, member& m) {
    c.members[static_cast<std::size_t>(m.place)] = &m;
    if (!c.complete()) return;
    std::map<int, int> place_on;
    for (member const* other : c.members)
      if (auto const [at, fresh] = place_on.emplace(other->device, other->place); !fresh) {
        c.failure = nccl_status::invalid_usage;
        c.why = "ranks " + std::to_string(at->second) + " and " + std::to_string(other->place) +
                " both on device " + std::to_string(other->device);
      }
  }
  void divide(communicator_state::division& d) {
    std::map<int, std::vector<std::tuple<int, int, member*>>> parts;
    for (auto const& [place, call] : d.calls)
      if (call.first >= 0) parts[call.first].emplace_back(d.orders[place], place, call.second);
    for (auto& [colour, part] : parts) {
      std::sort(part.begin(), part.end());
      auto const c = new_communicator(static_cast<int>(part.size()));
      for (std::size_t k = 0; k < part.size(); ++k) {
        auto& m = *std::get<2>(part[k]);
        m.of = c;
        m.place = static_cast<int>(k);
        c->members[k] = &m;
      }
    }
    d.left_out.push_back(-1);  // done
  }
  [[nodiscard]] static bool done(communicator_state::division const& d) {
    return !d.left_out.empty() && d.left_out.back() == -1;
  }

  [[nodiscard]] nccl_status usable(member* m, std::string const& what) {
    if (m == nullptr || m->aborted || m->destroyed || !m->of) return nccl_status::invalid_argument;
    if (m->of->failure != nccl_status::success) return m->of->failure;
    if (m->polls > 0 || unsettled(*m)) {
      mistakes_.push_back(name(*m) + ": " + what + " while the call before is in progress");
      return nccl_status::invalid_usage;
    }
    return nccl_status::success;
  }
  void demand_quiet(member const& m, std::string const& what) {
    if (!m.issued.empty() || !m.submitting.empty())
      mistakes_.push_back(name(m) + " " + what + " while operations are under way");
  }
  [[nodiscard]] bool unsettled(member const& m) const {
    if (!m.of || m.twice || !m.of->complete() || !m.submitting.empty()) return true;
    if (m.waits_for_split && !done(m.of->splits[m.splits - 1])) return true;
    if (m.waits_for_shrink) return !done(m.of->shrinking);
    if (!m.finalizing) return false;
    return !m.issued.empty() || std::any_of(m.of->members.begin(), m.of->members.end(),
                                            [](member* other) { return !other->finalizing; });
  }
  [[nodiscard]] static bool one_is_dead(communicator_state const& c) {
    return std::any_of(c.members.begin(), c.members.end(),
                       [](member* m) { return m != nullptr && m->dead; });
  }

  /// Whatever a member has under way is gone; its streams go on.
  void drop(member& m) {
    auto const forget = [&](std::shared_ptr<launch> const& l) {
      for (auto const& o : l->operations) {
        for (auto* queues : {&m.of->sends, &m.of->receives})
          for (auto& [ends, queue] : *queues) std::erase(queue, o.get());
        for (auto& queue : m.of->collectives) std::erase(queue, o.get());
      }
      for (auto const& s : streams_)
        std::erase_if(s->queue, [&](auto const& t) { return t.group == l; });
    };
    if (m.of)
      for (auto* held : {&m.issued, &m.submitting})
        for (auto const& l : *held) forget(l);
    m.issued.clear();
    m.submitting.clear();
  }

  /// An aborted operation may let the other end go on, with garbage.
  void end_by_abort(member& m) {
    auto& c = *m.of;
    auto const garble = [&](std::deque<operation_state*>& queue, std::size_t times) {
      if (queue.empty() || engine_() % 2 == 0) return;
      auto& o = *queue.front();
      queue.pop_front();
      if (settings_.moves_bytes && o.to != nullptr && o.count > 0)
        std::memset(o.to, 0x5a, o.bytes() * times);
      ended(o);
    };
    for (auto const& l : m.issued)
      for (auto const& o : l->operations) {
        if (o->what == kind::send) garble(c.receives[{m.place, o->peer}], 1);
        if (o->what == kind::receive) garble(c.sends[{o->peer, m.place}], 1);
        if (!o->collective()) continue;
        for (std::size_t k = 0; k < c.collectives.size(); ++k)
          if (static_cast<int>(k) != m.place)
            garble(c.collectives[k], o->what == kind::all_gather ? c.collectives.size() : 1);
      }
  }

  void progress() {
    if (running_) return;
    running_ = true;
    for (bool moved = true; moved;) {
      moved = false;
      for (auto const& m : members_)
        while (!m->submitting.empty() && met(*m, *m->submitting.front())) {
          auto l = m->submitting.front();
          m->submitting.pop_front();
          for (auto* s : l->streams) append(*s, {.group = l});
          m->issued.push_back(std::move(l));
          moved = true;
        }
      auto const n = streams_.size();
      auto const first = n == 0 ? 0 : static_cast<std::size_t>(engine_() % n);
      for (std::size_t k = 0; k < n; ++k)
        if (engine_() % 8 != 0)
          moved = step(*streams_[(first + k) % n]) || moved;  // some take their time
    }
    running_ = false;
  }

  /// The first operation between two places waits until both have submitted their part of it.
  [[nodiscard]] bool met(member const& m, launch const& l) {
    auto& c = *m.of;
    bool all = true;
    for (auto const& o : l.operations) {
      if (o->collective()) {
        c.collectives_connected =
            c.collectives_connected || std::all_of(c.members.begin(), c.members.end(),
                                                   [](member* x) { return x->collectives > 0; });
        all = all && c.collectives_connected;
        continue;
      }
      bool const sends = o->what == kind::send;
      auto const ends = sends ? std::pair(m.place, o->peer) : std::pair(o->peer, m.place);
      if (c.connected.contains(ends)) continue;
      member const& other = *c.members[static_cast<std::size_t>(o->peer)];
      bool here = false;
      for (auto const* held : {&other.issued, &other.submitting})
        for (auto const& theirs : *held)
          for (auto const& x : theirs->operations)
            here = here || (x->what == (sends ? kind::receive : kind::send) && x->peer == m.place);
      if (here) c.connected.insert(ends);
      all = all && here;
    }
    return all;
  }

  void append(stream_state& s, stream_task_state t) {
    t.turn = ++turns_;
    s.queue.push_back(std::move(t));
  }
  /// A hardware queue starts what it holds in order of submission: what can't start holds up all
  /// behind it, of every stream that shares the queue. What has started does not.
  [[nodiscard]] bool held_up(stream_state const& s) const {
    auto const& head = s.queue.front();
    auto const begins_later = [&](stream_state const& other) {
      auto const next = std::find_if(other.queue.begin(), other.queue.end(), [&](auto const& t) {
        return !t.group || (!t.group->started && t.group != head.group);
      });
      return next == other.queue.end() || next->turn >= head.turn;
    };
    return settings_.queues > 0 &&
           !std::all_of(streams_.begin(), streams_.end(), [&](auto const& other) {
             return other->device != s.device ||
                    other->number % settings_.queues != s.number % settings_.queues ||
                    begins_later(*other);
           });
  }

  bool step(stream_state& s) {
    if (s.queue.empty() || held_up(s)) return false;
    auto& head = s.queue.front();
    if (head.run) {
      auto const f = std::move(head.run);
      s.queue.pop_front();
      f();
      return true;
    }
    if (head.event) {
      if (head.event->reached < head.awaited) return false;
      s.queue.pop_front();
      return true;
    }
    launch& l = *head.group;
    bool const turn =
        l.of->issued.front().get() == &l &&
        std::all_of(l.streams.begin(), l.streams.end(), [&](stream_state* x) {
          return !x->queue.empty() && x->queue.front().group.get() == &l && !held_up(*x);
        });
    if (!turn || l.started) return false;
    l.started = true;
    auto& c = *l.of->of;
    auto const held = head.group;  // it may come to its end now
    for (auto const& o : held->operations) {
      if (o->what == kind::send) c.sends[{l.of->place, o->peer}].push_back(o.get());
      if (o->what == kind::receive) c.receives[{o->peer, l.of->place}].push_back(o.get());
      if (o->collective()) c.collectives[static_cast<std::size_t>(l.of->place)].push_back(o.get());
    }
    match(c);
    return true;
  }

  void match(communicator_state& c) {
    for (auto& [ends, queue] : c.sends) {
      auto& takers = c.receives[ends];
      while (!queue.empty() && !takers.empty()) {
        auto *out = queue.front(), *in = takers.front();
        if (out->count != in->count || out->type != in->type)
          return fail(c, "rank " + std::to_string(ends.first) + " sends " +
                             std::to_string(out->bytes()) + " bytes, rank " +
                             std::to_string(ends.second) + " receives " +
                             std::to_string(in->bytes()));
        queue.pop_front();
        takers.pop_front();
        if (settings_.moves_bytes && out->count > 0) std::memmove(in->to, out->from, out->bytes());
        ended(*out);
        ended(*in);
      }
    }
    while (std::none_of(c.collectives.begin(), c.collectives.end(),
                        [](auto const& q) { return q.empty(); })) {
      std::vector<operation_state*> all;
      for (auto& q : c.collectives) {
        all.push_back(q.front());
        q.pop_front();
      }
      auto const said = [](operation_state const& o) {
        return std::tuple(o.what, o.count, o.type, o.how);
      };
      for (auto* o : all)
        if (said(*o) != said(*all[0]))
          return fail(c, "rank " + std::to_string(o->of->place) +
                             " calls another collective than rank 0");
      if (settings_.moves_bytes) perform(all);
      for (auto* o : all) ended(*o);
    }
  }
  void fail(communicator_state& c, std::string const& why) {
    mistakes_.push_back(why);
    c.failure = nccl_status::invalid_usage;
    c.why = why;
  }

  /// Sums are taken from the last member to the first: an order that nobody promised.
  static void perform(std::vector<operation_state*> const& all) {
    auto const& what = *all[0];
    auto const bytes = what.bytes();
    std::vector<std::byte> whole;
    if (what.what == kind::all_gather) {
      for (auto* o : all) whole.insert(whole.end(), o->from, o->from + bytes);
      for (auto* o : all) std::copy(whole.begin(), whole.end(), o->to);
      return;
    }
    auto const length = what.what == kind::all_reduce ? bytes : bytes * all.size();
    whole.assign(all.back()->from, all.back()->from + length);
    for (std::size_t k = all.size() - 1; k-- > 0;)
      accumulate(what.type, what.how, whole, {all[k]->from, length});
    for (std::size_t k = 0; k < all.size(); ++k) {
      auto const begin = whole.begin() +
                         static_cast<std::ptrdiff_t>(what.what == kind::all_reduce ? 0 : k * bytes);
      std::copy(begin, begin + static_cast<std::ptrdiff_t>(bytes), all[k]->to);
    }
  }

  void ended(operation_state const& o) {
    launch& l = *o.in;
    if (--l.open > 0) return;
    auto const held = l.of->issued.front();
    l.of->issued.pop_front();
    for (auto* s : held->streams) s->queue.pop_front();
  }

  [[nodiscard]] static bool open(operation_state const& o) {
    auto const& c = *o.of->of;
    if (!o.in->started) return true;
    auto const in = [&](auto const& queue) {
      return std::find(queue.begin(), queue.end(), &o) != queue.end();
    };
    for (auto const* queues : {&c.sends, &c.receives})
      for (auto const& [ends, queue] : *queues)
        if (in(queue)) return true;
    return std::any_of(c.collectives.begin(), c.collectives.end(), in);
  }
  [[nodiscard]] static std::string why(member const& m, operation_state const& o) {
    auto const& c = *m.of;
    if (o.what == kind::send) return "for rank " + std::to_string(o.peer) + " to receive";
    if (o.what == kind::receive) return "for rank " + std::to_string(o.peer) + " to send";
    std::string absent;
    for (std::size_t k = 0; k < c.collectives.size(); ++k)
      if (static_cast<int>(k) != m.place && c.collectives[k].empty())
        absent += " " + std::to_string(k);
    return "in a collective for rank" + absent;
  }

  std::mutex mutex_{};
  settings settings_{};
  std::mt19937_64 engine_{1};
  bool running_ = false;
  std::vector<std::unique_ptr<stream_state>> streams_{};
  std::vector<std::unique_ptr<member>> members_{};
  std::map<int, std::size_t> made_on_{};  // streams, by device
  std::int64_t turns_ = 0;
  std::map<int, std::shared_ptr<communicator_state>> rendezvous_of_{};
  std::vector<std::string> mistakes_{};
  std::vector<record> records_{};
  int identities_ = 0, groups_ = 0, numbers_ = 0;
};

inline machine& world() {
  static machine all;
  return all;
}

/// The device of the calling thread.
inline int& device() {
  thread_local int current = 0;
  return current;
}

struct api {
  using communicator = member*;
  using stream = stream_state*;
  using identity = int;
  static constexpr bool has_shrink = true;

  static identity new_identity() { return world().new_identity(); }
  static nccl_status init(communicator& made, int size, identity id, int place, int) {
    return world().init(made, size, id, place, device());
  }
  static nccl_status split(communicator c, int colour, int order, communicator& made) {
    return world().split(c, colour, order, made);
  }
  static nccl_status shrink(communicator c, std::span<int const> left_out, communicator& made) {
    return world().shrink(c, left_out, made);
  }
  static nccl_status finalize(communicator c) { return world().finalize(c); }
  static nccl_status destroy(communicator c) { return world().destroy(c); }
  static nccl_status abort(communicator c) { return world().abort(c); }
  static nccl_status state(communicator c) { return world().state(c); }
  static std::string last_error(communicator c) { return world().last_error(c); }
  static void* allocate(std::size_t bytes) { return ::operator new(bytes); }
  static void deallocate(void* memory) { ::operator delete(memory); }
  static nccl_status group_start() { return world().start_group(); }
  static nccl_status group_end() { return world().end_group(); }
  static nccl_status send(void const* from, std::size_t count, element type, int peer,
                          communicator c, stream s) {
    return world().submit({.what = kind::send,
                           .from = bytes(from),
                           .count = count,
                           .type = type,
                           .peer = peer,
                           .of = c},
                          s);
  }
  static nccl_status receive(void* to, std::size_t count, element type, int peer, communicator c,
                             stream s) {
    return world().submit({.what = kind::receive,
                           .to = bytes(to),
                           .count = count,
                           .type = type,
                           .peer = peer,
                           .of = c},
                          s);
  }
  static nccl_status all_reduce(void const* from, void* to, std::size_t count, element type,
                                reduction how, communicator c, stream s) {
    return world().submit({.what = kind::all_reduce,
                           .from = bytes(from),
                           .to = bytes(to),
                           .count = count,
                           .type = type,
                           .how = how,
                           .of = c},
                          s);
  }
  static nccl_status reduce_scatter(void const* from, void* to, std::size_t count, element type,
                                    reduction how, communicator c, stream s) {
    return world().submit({.what = kind::reduce_scatter,
                           .from = bytes(from),
                           .to = bytes(to),
                           .count = count,
                           .type = type,
                           .how = how,
                           .of = c},
                          s);
  }
  static nccl_status all_gather(void const* from, void* to, std::size_t count, element type,
                                communicator c, stream s) {
    return world().submit({.what = kind::all_gather,
                           .from = bytes(from),
                           .to = bytes(to),
                           .count = count,
                           .type = type,
                           .of = c},
                          s);
  }

 private:
  static std::byte const* bytes(void const* p) { return static_cast<std::byte const*>(p); }
  static std::byte* bytes(void* p) { return static_cast<std::byte*>(p); }
};
static_assert(nccl_library<api>);

/// A library without ncclCommShrink.
struct older_api : api {
  static constexpr bool has_shrink = false;
};
static_assert(nccl_library<older_api>);

/// The streams of one device.
class system {
 public:
  explicit system(int at) : device_(at) {}

  using stream_ref = stream_state*;
  class stream {
   public:
    explicit stream(int at) : held_(world().make_stream(at)) {}
    operator stream_ref() const { return held_.get(); }

   private:
    struct drop {
      void operator()(stream_state* s) const { world().drop_stream(s); }
    };
    std::unique_ptr<stream_state, drop> held_;
  };
  struct event {
    std::shared_ptr<event_state> state = std::make_shared<event_state>();
  };
  class memory {
   public:
    explicit memory(std::size_t size) : size_(size), lines_((size + 63) / 64) {}
    [[nodiscard]] std::span<std::byte> bytes() {
      return std::as_writable_bytes(std::span(lines_)).first(size_);
    }

   private:
    struct alignas(64) line {
      std::byte bytes[64]{};
    };
    std::size_t size_;
    std::vector<line> lines_;
  };

  stream make_stream() { return stream(device_); }
  event make_event() { return {}; }
  event make_timed_event() { return {}; }
  memory make_memory(std::size_t bytes) { return memory(bytes); }
  memory make_host_memory(std::size_t bytes) { return memory(bytes); }

  void move(stream_ref s, std::span<stream_part const> parts, std::int64_t const* guard) {
    world().enqueue(s, [all = std::vector<stream_part>(parts.begin(), parts.end()), guard] {
      for (auto const& p : all) {
        bool const allowed = guard == nullptr || *guard != 0;
        bool const fits = p.count == nullptr || (*p.count >= 0 && *p.count <= p.bytes);
        if (p.refused != nullptr) *p.refused = allowed && !fits ? *p.count : 0;
        if (!allowed || !fits) continue;
        auto const bytes = static_cast<std::size_t>(p.count != nullptr ? *p.count : p.bytes);
        if (p.count_to != nullptr) *p.count_to = *p.count;
        if (bytes > 0) std::memmove(p.to, p.from, bytes);
      }
    });
  }
  void fold(stream_ref s, element type, reduction how, std::span<std::byte const* const> sources,
            std::span<std::byte* const> targets, std::size_t bytes, std::int64_t const* guard) {
    world().enqueue(s, [=, from = std::vector(sources.begin(), sources.end()),
                        to = std::vector(targets.begin(), targets.end())] {
      if (guard != nullptr && *guard == 0) return;
      std::vector<std::byte> sum(from[0], from[0] + bytes);
      for (std::size_t k = 1; k < from.size(); ++k) accumulate(type, how, sum, {from[k], bytes});
      for (auto* t : to) std::copy(sum.begin(), sum.end(), t);
    });
  }
  void fill(stream_ref s, std::span<std::byte> bytes, std::int64_t const* guard) {
    world().enqueue(s, [bytes, guard] {
      if (guard == nullptr || *guard != 0) std::fill(bytes.begin(), bytes.end(), std::byte{0});
    });
  }
  void copy_to_host(stream_ref s, std::span<std::byte const> from, std::span<std::byte> to) {
    world().enqueue(s, [from, to] { std::copy(from.begin(), from.end(), to.begin()); });
  }
  void copy_to_device(stream_ref s, std::span<std::byte const> from, std::span<std::byte> to) {
    world().enqueue(s, [kept = std::vector(from.begin(), from.end()), to] {
      std::copy(kept.begin(), kept.end(), to.begin());
    });
  }
  void set_word(std::int64_t& word, std::int64_t value) { world().set_word(word, value); }
  void record(event& e, stream_ref s) { world().enqueue_record(s, e.state); }
  void wait(stream_ref s, event& e) { world().enqueue_wait(s, e.state); }
  [[nodiscard]] bool finished(event& e) { return world().finished(*e.state); }
  void finish(event& e) {
    while (!finished(e)) std::this_thread::yield();
  }
  [[nodiscard]] ticks elapsed(event& a, event& b) { return world().between(*a.state, *b.state); }
  void synchronize() {
    while (!world().idle(device_)) std::this_thread::yield();
  }
  [[nodiscard]] int range(std::string const&) { return 0; }
  void call(stream_ref s, std::function<void()> f) { world().enqueue(s, std::move(f)); }

 private:
  int device_;
};
static_assert(calling_stream_system<system>);

/// A device a rank.
struct devices {
  system operator()(rank_id r) const {
    device() = r.value();
    return system(r.value());
  }
};

}  // namespace shunt::tests::nccl_double
