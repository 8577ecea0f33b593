#pragma once
/// What a worker process says: lines of words and numbers, written at once into a pipe of whoever
/// started it, or into a file of the place where the workers meet. A line that was written is heard
/// even if its writer is killed right after.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/recovery.hpp"

namespace example {

/// The first word of a line, and what follows it:
enum class report_kind {
  kill_request,  ///< nothing: it waits to be killed
  loss,     ///< iteration, noticed, detect, agree, restore, re-plan, rebuild, redo, steps undone,
            ///< instructions, kept, in all, number of ranks, these; more
  stopped,  ///< why, as text
  end,      ///< the last word; what comes with it is the program's
  error,    ///< the last word: what went wrong, as text
  // of train_through_failures; its end: iterations completed, hash of the parameters, computing
  // share in millionths
  plan,       ///< iteration, period, number of dead ranks, these
  iteration,  ///< iteration, bits of the loss (a NaN where this worker does not know it), live
              ///< workers, period, nanoseconds or -1
  joined,     ///< rank, iteration
  step,       ///< iteration, bits of the norm, left out, clipped, taken back
  overflow,   ///< iteration
  // of adaptive_experts; its losses: and bytes of optimizer state copied; its end: nanoseconds that
  // training took
  gone,        ///< iteration, ranks
  record,      ///< iteration, bits of the loss, values that did not fit, bytes of gradients and of
               ///< weights (five each), drops, loads
  parameters,  ///< number of the first among all, bits of each
};
inline constexpr char const* word_of[] = {"strike", "loss",      "stopped",   "end",  "error",
                                          "plan",   "iteration", "joined",    "step", "overflow",
                                          "gone",   "record",    "parameters"};
static_assert(std::size(word_of) == static_cast<std::size_t>(report_kind::parameters) + 1);

/// One line, taken apart.
struct message {
  report_kind what{};
  std::vector<std::int64_t> numbers{};
  std::string text{};
};

/// Nothing where the line is none of ours.
[[nodiscard]] inline std::optional<message> parse_message(std::string const& line) {
  std::istringstream in(line);
  std::string word;
  in >> word;
  for (std::size_t w = 0; w < std::size(word_of); ++w)
    if (word == word_of[w]) {
      message m{.what = static_cast<report_kind>(w)};
      if (m.what == report_kind::stopped || m.what == report_kind::error)
        std::getline(in >> std::ws, m.text);
      else
        for (std::int64_t n = 0; in >> n;) m.numbers.push_back(n);
      return m;
    }
  return std::nullopt;
}

/// Where a worker's lines go to.
class report_pipe {
 public:
  explicit report_pipe(int file) : file_(file) {}

  /// Throws runtime_error where the line can't be written.
  void operator()(report_kind what, std::vector<std::int64_t> const& numbers,
                  std::string const& text = {}) const {
    std::string line = word_of[static_cast<std::size_t>(what)];
    for (auto const n : numbers) line += ' ' + std::to_string(n);
    if (!text.empty()) line += ' ' + text;
    line += '\n';
    if (::write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
      throw std::runtime_error("what this worker found can't be written");
  }

 private:
  int file_;
};

/// Says what went wrong, and goes on throwing it: the only thing to do in a handler.
[[noreturn]] inline void report_and_rethrow(report_pipe const& say, std::exception const& error) {
  std::string line = error.what();
  std::replace(line.begin(), line.end(), '\n', ' ');
  say(report_kind::error, {}, line);
  throw;
}

[[nodiscard]] inline std::vector<std::int64_t> numbers_of(shunt::loss const& l) {
  std::vector<std::int64_t> all{l.iteration,
                                l.noticed,
                                l.detect,
                                l.agree,
                                l.restore,
                                l.replan,
                                l.rebuild,
                                l.redo,
                                l.steps_undone,
                                l.instructions_lost,
                                l.kept,
                                l.total,
                                static_cast<std::int64_t>(l.ranks.size())};
  for (auto const r : l.ranks) all.push_back(r.value());
  return all;
}
[[nodiscard]] inline shunt::loss loss_of(std::vector<std::int64_t> const& n) {
  shunt::loss l{.iteration = n.at(0),
                .steps_undone = static_cast<std::int32_t>(n.at(8)),
                .instructions_lost = n.at(9),
                .kept = n.at(10),
                .total = n.at(11),
                .noticed = n.at(1),
                .detect = n.at(2),
                .agree = n.at(3),
                .restore = n.at(4),
                .replan = n.at(5),
                .rebuild = n.at(6),
                .redo = n.at(7)};
  for (std::int64_t i = 0; i < n.at(12); ++i)
    l.ranks.emplace_back(n.at(static_cast<std::size_t>(13 + i)));
  return l;
}

}  // namespace example
