#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "merged_losses.hpp"
#include "messages.hpp"
#include "outcome.hpp"
#include "shunt/train/gathered_parameters.hpp"
#include "training.hpp"

namespace example {

/// What a rank's process says of an iteration.
[[nodiscard]] inline std::vector<std::int64_t> numbers_of(std::int64_t iteration,
                                                          iteration_record const& r) {
  std::vector<std::int64_t> all{iteration, std::bit_cast<std::int64_t>(r.loss), r.misfits, r.live};
  for (auto const& b : {r.gradients, r.weights})
    all.insert(all.end(), {b.formula, b.counted, b.plain, b.deduplicated, b.moved});
  for (auto const* of_layers : {&r.dropped, &r.fullest, &r.loads})
    all.insert(all.end(), of_layers->begin(), of_layers->end());
  return all;
}
[[nodiscard]] inline iteration_record record_of(moe_model const& m,
                                                std::vector<std::int64_t> const& n) {
  if (n.size() != 14 + static_cast<std::size_t>(m.layers) * static_cast<std::size_t>(m.experts + 2))
    throw std::runtime_error("a record of an iteration is cut off");
  auto const drops = n.begin() + 14, fullest = drops + m.layers, loads = fullest + m.layers;
  auto const bytes = [&](std::size_t at) {
    return phase_bytes{n[at], n[at + 1], n[at + 2], n[at + 3], n[at + 4]};
  };
  return {.loss = std::bit_cast<double>(n[1]),
          .loads = {loads, n.end()},
          .dropped = {drops, fullest},
          .fullest = {fullest, loads},
          .live = static_cast<std::int32_t>(n[3]),
          .misfits = n[2],
          .gradients = bytes(4),
          .weights = bytes(9)};
}

/// The same of a loss.
[[nodiscard]] inline std::vector<std::int64_t> numbers_of(rank_loss const& l) {
  auto all = numbers_of(static_cast<shunt::loss const&>(l));
  all.push_back(l.state_bytes);
  return all;
}

/// What the processes of a run say, put together, and said on as they go: all of them know the
/// same, each with times of its own.
class report_merger {
 public:
  report_merger(training_setup const& setup, std::string const& name)
      : setup_(setup), say_{setup, run_.name}, parameters_(parameter_count(setup)) {
    run_.name = name;
  }
  report_merger(report_merger const&) = delete;
  report_merger& operator=(report_merger const&) = delete;

  /// `at`: when a process of this rank was killed, in nanoseconds of the steady clock.
  void killed(shunt::rank_id r, shunt::ticks at) { losses_.killed(r, at); }

  /// Throws runtime_error and logic_error where processes disagree.
  void receive(shunt::rank_id from, message const& m) {
    auto const& n = m.numbers;
    switch (m.what) {
      case report_kind::gone: {
        auto const iteration = n.at(0);
        std::vector<shunt::rank_id> const lost(n.begin() + 1, n.end());
        if (gone_.insert(lost).second)
          std::cout << "rank " << describe(lost) << " fell silent in iteration " << iteration
                    << std::endl;
        return;
      }
      case report_kind::record: {
        auto record = record_of(setup_.model, n);
        auto const t = static_cast<std::size_t>(n[0]);
        if (t < run_.records.size() && record != run_.records[t])
          throw std::runtime_error("rank " + std::to_string(from.value()) +
                                   " has another iteration " + std::to_string(t) +
                                   " than the ranks before it");
        if (t != run_.records.size()) return;
        run_.records.push_back(std::move(record));
        return say_(static_cast<std::int32_t>(t), run_.records.back());
      }
      case report_kind::loss: return losses_.receive(from, rank_loss{loss_of(n), n.back()});
      case report_kind::parameters: {
        std::vector<float> values;
        for (std::size_t i = 1; i < n.size(); ++i)
          values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(n[i])));
        return parameters_.add(from, static_cast<std::size_t>(n.at(0)), values);
      }
      case report_kind::end:
        ended_.insert(from);
        run_.seconds = std::max(run_.seconds, static_cast<double>(n.at(0)) * 1e-9);
        return;
      case report_kind::error:
        // Who gives up a meeting says why; the others say only that it was given up.
        if (error_.empty() || error_.ends_with("was given up")) error_ = m.text;
        return;
      default: return;
    }
  }

  /// Iterations that some rank runs at least.
  [[nodiscard]] std::int64_t begun() const {
    return static_cast<std::int64_t>(run_.records.size());
  }
  [[nodiscard]] bool ended(shunt::rank_id r) const { return ended_.contains(r); }
  /// Whether ranks were lost on the way.
  [[nodiscard]] bool disturbed() const { return !gone_.empty(); }

  /// After the last word; prints what losses took. Throws runtime_error, with what the first said
  /// that could not go on, where nobody came to the end, or where some parameters are known to
  /// nobody who is left.
  [[nodiscard]] policy_run result() && {
    if (ended_.empty()) throw std::runtime_error(error_.empty() ? "no rank is left" : error_);
    for (auto const& l : losses_.merged([&](shunt::rank_id r) { return ended(r); })) print(l);
    run_.parameters = std::move(parameters_).whole();
    return std::move(run_);
  }

 private:
  training_setup const& setup_;
  policy_run run_{};
  progress_printer const say_;
  shunt::gathered_parameters parameters_;
  merged_losses<rank_loss> losses_{};
  std::set<std::vector<shunt::rank_id>> gone_{};
  std::set<shunt::rank_id> ended_{};
  std::string error_{};
};

}  // namespace example
