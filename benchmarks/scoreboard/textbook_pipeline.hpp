#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <queue>
#include <utility>
#include <vector>

namespace textbook {

/// Interleaved 1F1B as its paper describes it, with a send after every operation whose result
/// another rank needs and a receive before every operation that needs one, and a plain check.
/// Reference: Narayanan et al., arXiv 2104.04473, section 2.2.
class interleaved_pipeline {
 public:
  /// Requires at least two ranks, and a multiple of them as micro-batches.
  interleaved_pipeline(int ranks, int chunks, int microbatches)
      : ranks_(ranks), chunks_(chunks), microbatches_(microbatches) {}

  enum class step { receive, compute, send };
  struct action {
    step what;
    bool backward;
    int stage, microbatch;
  };
  using lists = std::vector<std::vector<action>>;

  [[nodiscard]] lists order() const {
    lists all;
    int const count = chunks_ * microbatches_;
    for (int r = 0; r < ranks_; ++r) {
      std::vector<action> list;
      int const warm_up = std::min(count, 2 * (ranks_ - 1 - r) + (chunks_ - 1) * ranks_);
      for (int n = 0; n < warm_up; ++n) add(list, r, false, n);
      for (int n = warm_up; n < count; ++n) {
        add(list, r, false, n);
        add(list, r, true, n - warm_up);
      }
      for (int n = count - warm_up; n < count; ++n) add(list, r, true, n);
      all.push_back(std::move(list));
    }
    return all;
  }

  /// Runs the lists against each other with buffered sends. Returns whether every operation runs
  /// once, after what it needs, and every message is received in the order of its sends.
  [[nodiscard]] bool check(lists const& all) const {
    auto const cells = static_cast<std::size_t>(2 * (last_stage() + 1) * microbatches_);
    std::vector<char> done(cells), received(cells);
    std::map<std::pair<int, int>, std::queue<std::size_t>> sent;
    auto const cell = [&](bool backward, int stage, int microbatch) {
      return static_cast<std::size_t>((2 * stage + backward) * microbatches_ + microbatch);
    };
    std::vector<std::size_t> next(all.size());
    auto const runs = [&](int rank, action const& a) {
      std::size_t const at = cell(a.backward, a.stage, a.microbatch);
      if (a.what == step::send) {
        if (!done[at]) return false;
        sent[{rank, rank_of(next_stage(a))}].push(at);
      } else if (a.what == step::receive) {
        auto& queue = sent[{rank_of(a.stage), rank}];
        if (queue.empty() || queue.front() != at) return false;
        queue.pop();
        received[at] = 1;
      } else {
        bool const first = a.stage == (a.backward ? last_stage() : 0);
        int const before = a.backward ? a.stage + 1 : a.stage - 1;
        if (done[at] || (!first && !received[cell(a.backward, before, a.microbatch)]) ||
            (a.backward && !done[cell(false, a.stage, a.microbatch)]))
          return false;
        done[at] = 1;
      }
      return true;
    };
    for (bool moved = true; moved;) {
      moved = false;
      for (int r = 0; r < ranks_; ++r) {
        auto const& list = all[static_cast<std::size_t>(r)];
        auto& at = next[static_cast<std::size_t>(r)];
        for (; at < list.size() && runs(r, list[at]); ++at) moved = true;
      }
    }
    for (std::size_t r = 0; r < all.size(); ++r)
      if (next[r] < all[r].size()) return false;
    return std::all_of(done.begin(), done.end(), [](char d) { return d != 0; }) &&
           std::all_of(sent.begin(), sent.end(), [](auto const& s) { return s.second.empty(); });
  }

 private:
  [[nodiscard]] int rank_of(int stage) const { return stage % ranks_; }
  [[nodiscard]] int last_stage() const { return ranks_ * chunks_ - 1; }
  [[nodiscard]] static int next_stage(action const& a) {
    return a.backward ? a.stage - 1 : a.stage + 1;
  }

  /// Adds the n-th forward or backward of a rank with its messages. Micro-batches go in groups of
  /// as many as there are ranks, chunk by chunk.
  void add(std::vector<action>& list, int rank, bool backward, int n) const {
    int const of_group = n % (ranks_ * chunks_), chunk = of_group / ranks_;
    int const stage = (backward ? chunks_ - 1 - chunk : chunk) * ranks_ + rank;
    int const microbatch = n / (ranks_ * chunks_) * ranks_ + of_group % ranks_;
    int const first = backward ? last_stage() : 0, last = backward ? 0 : last_stage();
    if (stage != first)
      list.push_back({step::receive, backward, backward ? stage + 1 : stage - 1, microbatch});
    list.push_back({step::compute, backward, stage, microbatch});
    if (stage != last) list.push_back({step::send, backward, stage, microbatch});
  }

  int ranks_, chunks_, microbatches_;
};

}  // namespace textbook
