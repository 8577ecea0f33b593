#pragma once
/// The event rules of the simulators in Oobleck's artifact (github.com/SymbioticLab/Oobleck, branch
/// sosp23-artifact, tools/simulator), stated anew: what they print is what papers quote.
///
/// A node is ready 45 s after it is added. A failure, and the first ready node of a job that stands
/// still, begin a rendezvous; it ends with the nodes that are ready then, of which 12 are needed,
/// and begins a step at the table's rate for that many. Nodes that come while the job runs wait for
/// the next rendezvous. The run ends with the event that lies last in the heap's first array, which
/// need not be the last in time. The mean is that of all steps from the first rendezvous to the end
/// of the last step.
///
/// As shipped, each failure begins a rendezvous of its own, at one instant with others or while
/// another goes on: the first to end takes the list of those who are ready, the next finds it empty
/// and stops the job until a node is ready or lost. Repaired, each of them finds all nodes that are
/// ready.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "shunt/solve/pipeline/bamboo_rendezvous.hpp"

namespace reproduce_papers {

/// A binary heap of which the array is known, ties included: the artifact's simulators look at the
/// array itself. Order as in CPython's heapq: a pop sinks the last element to a leaf, along the
/// smaller child and the right one of two equals, and raises it from there.
template <class T>
class event_heap {
 public:
  void push(T value) {
    array_.push_back(std::move(value));
    raise(0, array_.size() - 1);
  }

  /// The least element. Requires that there is one.
  T pop() {
    T last = std::move(array_.back());
    array_.pop_back();
    if (array_.empty()) return last;
    std::swap(last, array_.front());
    sink(0);
    return last;
  }

  /// Orders the array anew, which moves equal elements of a heap too.
  void heapify() {
    for (std::size_t i = array_.size() / 2; i-- > 0;) sink(i);
  }

  std::vector<T> const& array() const { return array_; }

 private:
  void raise(std::size_t top, std::size_t at) {
    T value = std::move(array_[at]);
    while (at > top) {
      std::size_t const parent = (at - 1) / 2;
      if (!(value < array_[parent])) break;
      array_[at] = std::move(array_[parent]);
      at = parent;
    }
    array_[at] = std::move(value);
  }
  void sink(std::size_t top) {
    T value = std::move(array_[top]);
    std::size_t at = top;
    for (std::size_t child = 2 * at + 1; child < array_.size(); child = 2 * at + 1) {
      if (child + 1 < array_.size() && !(array_[child] < array_[child + 1])) ++child;
      array_[at] = std::move(array_[child]);
      at = child;
    }
    array_[at] = std::move(value);
    raise(top, at);
  }

  std::vector<T> array_;
};

/// Samples/s by the number of nodes, and what events cost, as the artifact has them.
struct artifact_table {
  std::string_view model{};
  std::int64_t samples = 0;       ///< of a step
  std::int64_t rendezvous = 0;    ///< milliseconds
  std::int64_t checkpoint = 0;    ///< milliseconds, each 10 steps (Varuna)
  bool falls_back = true;         ///< a removal takes what was done since the checkpoint (Varuna)
  std::array<double, 16> rate{};  ///< samples/s of 30, 29 .. 15 nodes; fewer as 15

  /// Milliseconds of a step.
  std::int64_t step(std::size_t nodes) const {
    double const at = rate[30 - std::clamp<std::size_t>(nodes, 15, 30)];
    if (at == 0) return 1'000'000'000'000;  // no end
    return static_cast<std::int64_t>(static_cast<double>(samples) / at * 1000);
  }
};

namespace detail {

enum class kind : std::uint8_t { add = 1, remove, ready = 4, global, local, step, checkpoint };

struct event {
  std::int64_t at = 0;
  reproduce_papers::detail::kind kind{};
  shunt::node_id node{};
  std::int32_t version = 0;  ///< of the rendezvous that began the step

  bool operator<(event const& other) const {
    return std::pair(at, kind) < std::pair(other.at, other.kind);
  }
};

/// What the three simulators have in common; Rules says what a removal and the end of a step do.
template <class Rules>
class artifact_run {
 public:
  artifact_run(shunt::failure_trace const& trace, artifact_table const& table, bool shipped)
      : table_(table), shipped_(shipped) {
    for (auto const& e : trace.events)
      push(e.milliseconds, e.removed ? kind::remove : kind::add, e.node);
    events_.heapify();
    last_ = events_.array().back().at;
  }

  /// Returns samples/s.
  double mean() {
    auto& rules = static_cast<Rules&>(*this);
    while (!events_.array().empty()) {
      event const e = events_.pop();
      if (e.at >= last_) break;
      switch (e.kind) {
        case kind::add:
          nodes_.push_back({.name = e.node});
          push(e.at + created, kind::ready, e.node);
          break;
        case kind::remove: {
          auto const found = find(e.node);
          node const lost = *found;
          nodes_.erase(found);
          rules.lose(e.at, lost);
          break;
        }
        case kind::ready: ready(e.at, e.node); break;
        case kind::global:
        case kind::local: meet(e.at, e.kind); break;
        case kind::step:
          if (e.version == version_) rules.finish(e.at);
          break;
        case kind::checkpoint: break;
      }
    }
    if (steps_.empty()) return 0;
    double sum = 0;  // where a step's rate is another one's, both have another length
    for (std::size_t k = 0; k < std::min(steps_.size(), rates_.size()); ++k)
      sum += static_cast<double>(steps_[k].second - steps_[k].first) * rates_[k];
    return sum / static_cast<double>(steps_.back().second - *start_);
  }

 protected:
  static constexpr std::int64_t created = 45'000;
  static constexpr std::size_t stages = 12;
  enum class state : std::uint8_t { stopped, gathering, running };
  struct node {
    shunt::node_id name{};
    bool ready = false, active = false;
    std::vector<std::pair<std::size_t, std::size_t>> workers{};  ///< pipeline, stage
  };

  void push(std::int64_t at, detail::kind what, shunt::node_id name = {}) {
    events_.push({.at = at, .kind = what, .node = name, .version = version_});
  }
  auto find(shunt::node_id name) {
    return std::find_if(nodes_.begin(), nodes_.end(),
                        [&](node const& n) { return n.name == name; });
  }
  std::vector<shunt::node_id> all_ready() const {
    std::vector<shunt::node_id> found;
    for (auto const& n : nodes_)
      if (n.ready) found.push_back(n.name);
    return found;
  }
  void gather(std::int64_t at, detail::kind how) {
    state_ = state::gathering;
    gathered_ = all_ready();
    push(at + static_cast<Rules&>(*this).rendezvous(how), how);
  }
  void begin_step(std::int64_t at) { push(at + step_, kind::step); }
  /// Records a step that ends now.
  void record(std::int64_t at) {
    double const length = static_cast<double>(at - before_);
    steps_.emplace_back(before_, at);
    rates_.push_back(length == 0 ? 0 : static_cast<double>(table_.samples) * 1000 / length);
    before_ = at;
  }

  artifact_table table_;
  bool shipped_;
  event_heap<event> events_;
  std::vector<node> nodes_;  ///< in the order in which they came
  state state_ = state::stopped;
  std::vector<shunt::node_id> gathered_;
  std::int32_t version_ = 0;
  std::size_t pipelines_ = 0, waiting_ = 0;
  std::int64_t step_ = 0, before_ = 0, last_ = 0;
  std::optional<std::int64_t> start_;
  std::vector<std::pair<std::int64_t, std::int64_t>> steps_;  ///< begin, end
  std::vector<double> rates_;                                 ///< samples/s of each

 private:
  void ready(std::int64_t at, shunt::node_id name) {
    auto const found = find(name);
    if (found == nodes_.end()) return;
    found->ready = true;
    if (state_ == state::stopped)
      gather(at, kind::global);
    else if (state_ == state::gathering)
      gathered_.push_back(name);
    else
      ++waiting_;
  }

  void meet(std::int64_t at, detail::kind how) {
    if (!shipped_ && gathered_.empty()) gathered_ = all_ready();
    for (auto const name : gathered_)
      if (find(name) == nodes_.end()) return gather(at, how);
    pipelines_ = gathered_.size() / stages;
    waiting_ = 0;
    for (std::size_t k = 0; k < gathered_.size(); ++k) {
      auto& n = *find(gathered_[k]);
      n.workers.clear();
      n.active = k < pipelines_ * stages;
      if (n.active)
        n.workers.emplace_back(k / stages, k % stages);
      else
        ++waiting_;
    }
    ++version_;
    gathered_.clear();
    static_cast<Rules&>(*this).met();
    state_ = pipelines_ == 0 ? state::stopped : state::running;
    if (pipelines_ == 0) return;
    step_ = table_.step(all_ready().size());
    begin_step(at);
    if (!start_) start_ = before_ = at;
  }
};

}  // namespace detail

/// Oobleck: every removal is a rendezvous, the step in progress is lost.
class artifact_oobleck : public detail::artifact_run<artifact_oobleck> {
 public:
  using artifact_run::artifact_run;

 private:
  friend artifact_run;
  std::int64_t rendezvous(detail::kind) const { return table_.rendezvous; }
  void met() {}
  void lose(std::int64_t at, node const&) {
    events_.heapify();
    gather(at, detail::kind::global);
  }
  void finish(std::int64_t at) {
    record(at);
    begin_step(at);
  }
};

/// Varuna: every removal is a restart from the last checkpoint. A checkpoint follows each tenth
/// step and the first after a removal. As shipped and here: its time is charged twice, once before
/// it begins; ten steps are lost where a removal stands before its end in the heap's array.
class artifact_varuna : public detail::artifact_run<artifact_varuna> {
 public:
  using artifact_run::artifact_run;

 private:
  friend artifact_run;
  static constexpr std::size_t every = 10;

  std::int64_t rendezvous(detail::kind) const { return table_.rendezvous - table_.checkpoint; }
  void met() {}
  void lose(std::int64_t at, node const&) {
    removed_ = true;
    if (table_.falls_back) {
      std::size_t const known = std::min(steps_.size(), rates_.size());
      std::size_t k = 0;
      while (checkpoint_ && k < known && steps_[k].first != *checkpoint_) ++k;
      std::fill(rates_.begin() + static_cast<std::ptrdiff_t>(k), rates_.end(), 0.0);
    }
    gather(at, detail::kind::global);
  }
  void finish(std::int64_t at) {
    record(at);
    ++done_;
    if (done_ % every == 0 || removed_) {
      removed_ = false;
      at += table_.checkpoint;
      push(at + table_.checkpoint, detail::kind::checkpoint);
      events_.heapify();
      if (table_.falls_back && removal_first()) {
        done_ -= std::min(done_, every);
        if (rates_.size() < every)
          rates_.assign(every, 0.0);
        else
          std::fill(rates_.end() - static_cast<std::ptrdiff_t>(every), rates_.end(), 0.0);
      } else {
        checkpoint_ = at;
      }
      before_ = at;
    }
    begin_step(at);
  }
  /// Whether a removal lies before the next checkpoint in the array.
  bool removal_first() const {
    for (auto const& e : events_.array()) {
      if (e.kind == detail::kind::checkpoint) return false;
      if (e.kind == detail::kind::remove) break;
    }
    return true;
  }

  bool removed_ = false;
  std::size_t done_ = 0;
  std::optional<std::int64_t> checkpoint_;
};

/// Bamboo: the node before a lost one in the ring of its pipeline, its shadow, takes its stage over
/// and the steps take 1.5 times as long, until a rendezvous; a shadow that is lost, or has a second
/// stage already, is fatal: a rendezvous of all (30 s).
class artifact_bamboo : public detail::artifact_run<artifact_bamboo> {
 public:
  using artifact_run::artifact_run;

 private:
  friend artifact_run;
  std::int64_t rendezvous(detail::kind how) const {
    return how == detail::kind::global ? 30'000 : table_.rendezvous;
  }
  void met() { slow_.reset(); }
  void lose(std::int64_t at, node const& lost) {
    if (lost.active) {
      if (lost.workers.size() > 1) return gather(at, detail::kind::global);
      auto const [pipeline, stage] = lost.workers.front();
      std::pair const before(pipeline, (stage + stages - 1) % stages);
      for (auto& n : nodes_) {
        if (std::find(n.workers.begin(), n.workers.end(), before) == n.workers.end()) continue;
        if (n.workers.size() > 1) return gather(at, detail::kind::global);
        n.workers.push_back(lost.workers.front());
        break;
      }
    }
    if (state_ != state::running || slow_) return;
    slow_ = {at, done_};
    delayed_ = false;
    step_ = step_ * 3 / 2;
  }
  void finish(std::int64_t at) {
    if (slow_ && !delayed_ && slow_->second == done_) {
      delayed_ = true;
      return push(at + (at - slow_->first) / 2, detail::kind::step);
    }
    ++done_;
    record(at);
    if (reconfigures())
      gather(at, detail::kind::local);
    else
      begin_step(at);
  }
  bool reconfigures() const {
    auto const overloaded =
        static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), [](node const& n) {
          return n.active && n.workers.size() > 1;
        }));
    auto const number = [](std::size_t n) { return static_cast<std::int64_t>(n); };
    return shunt::bamboo_rendezvous{}({.pipelines = number(pipelines_),
                                       .stages = number(stages),
                                       .overloaded = number(overloaded),
                                       .waiting = number(waiting_)}) !=
           shunt::rendezvous_cause::none;
  }

  std::optional<std::pair<std::int64_t, std::size_t>> slow_;  ///< since when, and at which step
  bool delayed_ = false;
  std::size_t done_ = 0;
};

}  // namespace reproduce_papers
