#pragma once
/// A history: a job, when ranks come back, and what goes wrong when. It is text, and text is it.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/random_choices.hpp"

namespace shunt::tests::simulated {

enum class fault_kind : std::uint8_t {
  kill,       ///< the process of a rank ends, and its connections close
  crash,      ///< the process of a rank ends, and nobody hears of it
  stop,       ///< processes stand still for a while; no ranks: all
  cut,        ///< ranks are cut off from the others for a while
  split,      ///< two ranks are cut off from each other for a while
  reset,      ///< the connection of two ranks ends
  stillborn,  ///< the n-th new process of a rank dies a while after it was asked to come
  full,       ///< nothing can be written for a while
  slow,       ///< the disk is slow for a while
  vanish      ///< the directory vanishes while no process uses it
};
inline constexpr std::array<std::string_view, 10> fault_names{
    "kill", "crash", "stop", "cut", "split", "reset", "stillborn", "full", "slow", "vanish"};

/// Times are in virtual milliseconds: since training began, or since the n-th time after it that
/// members meet, or agree.
struct fault {
  fault_kind kind{};
  std::vector<std::int32_t> ranks{};
  std::int64_t at = 0;
  std::int64_t lasts = 0;
  std::int32_t meeting = 0;  ///< n, below 0 for an agreement; 0: since training began
};

/// A new process in the place of a rank, just before an iteration.
struct comeback {
  std::int32_t rank = 0;
  std::int64_t iteration = 0;
};

struct history {
  std::uint64_t seed = 0;  ///< decides the order of what may happen in any order
  std::int32_t pipelines = 3, stages = 1, microbatches = 3;
  std::int64_t iterations = 6;
  std::int64_t silence = 200, patience = 1000;  ///< in ms
  std::int64_t lost_once_in = 0;                ///< messages; 0: none
  std::vector<comeback> joins{};
  std::vector<fault> faults{};

  [[nodiscard]] std::int32_t ranks() const { return pipelines * stages; }
};

[[nodiscard]] inline std::string to_text(history const& h) {
  std::ostringstream out;
  out << "seed=" << h.seed << " job=" << h.pipelines << 'x' << h.stages << 'x' << h.microbatches
      << " iterations=" << h.iterations << " silence=" << h.silence << " patience=" << h.patience
      << " lost=" << h.lost_once_in;
  for (auto const& j : h.joins) out << " join=" << j.rank << '@' << j.iteration;
  for (auto const& f : h.faults) {
    out << ' ' << fault_names[static_cast<std::size_t>(f.kind)] << '=';
    for (std::size_t i = 0; i < f.ranks.size(); ++i) out << (i ? "," : "") << f.ranks[i];
    out << '@';
    if (f.meeting) out << f.meeting << ':';
    out << f.at;
    if (f.lasts) out << '+' << f.lasts;
  }
  return out.str();
}

/// Throws invalid_argument where it is none.
[[nodiscard]] inline history history_of(std::string const& text) {
  history h;
  std::istringstream in(text);
  auto const wrong = [](std::string const& word) {
    return std::invalid_argument("no word of a history: " + word);
  };
  for (std::string word; in >> word;) {
    auto const is = word.find('=');
    if (is == std::string::npos) throw wrong(word);
    auto const name = word.substr(0, is);
    std::istringstream value(word.substr(is + 1));
    char mark = 0;
    if (name == "seed") {
      value >> h.seed;
    } else if (name == "job") {
      value >> h.pipelines >> mark >> h.stages >> mark >> h.microbatches;
    } else if (name == "iterations") {
      value >> h.iterations;
    } else if (name == "silence") {
      value >> h.silence;
    } else if (name == "patience") {
      value >> h.patience;
    } else if (name == "lost") {
      value >> h.lost_once_in;
    } else if (name == "join") {
      comeback j;
      value >> j.rank >> mark >> j.iteration;
      h.joins.push_back(j);
    } else {
      auto const at = std::find(fault_names.begin(), fault_names.end(), name);
      if (at == fault_names.end()) throw wrong(word);
      fault f{.kind = static_cast<fault_kind>(at - fault_names.begin())};
      while (value.peek() != '@') {
        if (value.peek() == ',') value.get();
        std::int32_t r = 0;
        if (!(value >> r)) throw wrong(word);
        f.ranks.push_back(r);
      }
      value >> mark >> f.at;
      if (!value.eof() && value.peek() == ':') {
        f.meeting = static_cast<std::int32_t>(f.at);
        value >> mark >> f.at;
      }
      if (!value.eof() && value.peek() == '+') value >> mark >> f.lasts;
      h.faults.push_back(f);
    }
    if (value.fail()) throw wrong(word);
  }
  return h;
}

/// A random history. The same number gives the same one.
[[nodiscard]] inline history random_history(std::uint64_t seed) {
  random_choices d(seed * 0x9e3779b97f4a7c15U + 1);
  history h{.seed = seed};
  constexpr std::array<std::array<std::int32_t, 3>, 9> jobs{{{3, 1, 3},
                                                             {4, 1, 4},
                                                             {5, 1, 5},
                                                             {8, 1, 8},
                                                             {2, 2, 3},
                                                             {3, 2, 3},
                                                             {4, 2, 4},
                                                             {2, 3, 3},
                                                             {2, 4, 3}}};
  auto const& job = jobs[static_cast<std::size_t>(d.below(jobs.size()))];
  h.pipelines = job[0], h.stages = job[1], h.microbatches = job[2];
  h.iterations = 3 + d.below(6);
  h.patience = 600 + 200 * d.below(3);
  h.silence = 100 + 100 * d.below(2);
  h.lost_once_in = d.below(3) == 0 ? 20 + d.below(200) : 0;
  auto const rank = [&] { return d.below(h.ranks()); };
  auto const pair = [&] {
    auto const a = rank();
    auto const b = (a + 1 + d.below(h.ranks() - 1)) % h.ranks();
    return std::vector<std::int32_t>{std::min(a, b), std::max(a, b)};
  };
  auto const some = [&](std::int32_t most) {
    std::vector<std::int32_t> all;
    for (std::int32_t n = 1 + d.below(most); n > 0; --n) all.push_back(rank());
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  };
  std::int64_t const length = 40 * h.iterations;  // about what training lasts, in ms
  auto const about_silence = [&] { return h.silence / 2 + d.below(h.silence * 3); };
  auto const about_patience = [&] { return h.patience / 2 + d.below(h.patience * 3 / 2); };

  if (d.below(5) < 2) {  // a rank dies and comes back, perhaps again
    auto const r = rank();
    h.faults.push_back(
        {d.below(6) == 0 ? fault_kind::crash : fault_kind::kill, {r}, d.below(length / 2), 0});
    std::int64_t iteration = 1 + d.below(h.iterations - 1);
    h.joins.push_back({r, iteration});
    if (d.coin()) {
      h.faults.push_back({fault_kind::stillborn, {r}, 0, d.coin() ? 0 : d.below(200)});
      if (d.coin() && iteration + 1 < h.iterations)
        h.joins.push_back({r, iteration + 1 + d.below(h.iterations - iteration - 1)});
    }
  }
  for (std::int32_t n = 1 + d.below(3); n > 0; --n) {
    fault f{.at = d.below(length * 3 / 2)};
    if (d.below(3) == 0) {  // while members meet or agree, or just after
      f.meeting = 1 + d.below(3);
      if (!d.coin()) f.meeting = -f.meeting;
      f.at = d.coin() ? d.below(8) : d.below(h.patience);
    }
    auto const cut_off = [&] { return d.below(4) == 0 ? 1'000'000 : about_silence(); };
    switch (d.below(13)) {
      case 0:
      case 1: f.kind = fault_kind::kill, f.ranks = {rank()}; break;
      case 2: f.kind = fault_kind::crash, f.ranks = {rank()}; break;
      case 3: f.kind = fault_kind::stop, f.ranks = some(1), f.lasts = about_silence(); break;
      case 4: f.kind = fault_kind::stop, f.ranks = some(3), f.lasts = about_silence(); break;
      case 5:
        f.kind = fault_kind::stop, f.lasts = d.coin() ? about_silence() : about_patience();
        break;
      case 6: f.kind = fault_kind::cut, f.ranks = some(2), f.lasts = cut_off(); break;
      case 7: f.kind = fault_kind::split, f.ranks = pair(), f.lasts = cut_off(); break;
      case 8: f.kind = fault_kind::reset, f.ranks = pair(); break;
      case 9: f.kind = fault_kind::full, f.lasts = 20 + d.below(h.patience / 2); break;
      case 10: f.kind = fault_kind::slow, f.lasts = 20 + d.below(h.patience); break;
      case 11:  // longer than any member waits for another
        f.kind = fault_kind::stop;
        f.meeting = 1 + d.below(3), f.at = d.below(20);
        f.lasts = h.patience + d.below(h.patience);
        break;
      default: f.kind = fault_kind::vanish; break;
    }
    h.faults.push_back(f);
  }
  // On a full disk a directory that has vanished cannot be made again.
  auto const is = [](fault_kind k) { return [k](fault const& f) { return f.kind == k; }; };
  if (std::any_of(h.faults.begin(), h.faults.end(), is(fault_kind::vanish)))
    std::erase_if(h.faults, is(fault_kind::full));
  return h;
}

}  // namespace shunt::tests::simulated
