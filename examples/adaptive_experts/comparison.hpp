#pragma once
/// The files that a run leaves: curves, heat maps and tables.
/// What the program says, whichever engine runs it.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "options.hpp"
#include "outcome.hpp"
#include "policy_training.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train/undisturbed.hpp"
#include "text.hpp"
#include "training.hpp"

namespace example {

inline shunt::series line_of(policy_run const& run, std::vector<double> const& values) {
  shunt::series all{.name = run.name};
  for (std::size_t t = 0; t < values.size(); ++t)
    all.points.emplace_back(static_cast<double>(t), values[t]);
  return all;
}

inline shunt::heat_map loads_of(training_setup const& s, policy_run const& run,
                                std::int32_t layer) {
  shunt::heat_map map{.title = "Tokens routed to each expert of layer " + std::to_string(layer) +
                               ", " + run.name,
                      .x_label = "iteration",
                      .y_label = "expert",
                      .value_label = "share of the layer's tokens, %",
                      .columns = run.records.size()};
  for (std::int32_t e = 0; e < s.model.experts; ++e)
    for (auto const& r : run.records)
      map.values.push_back(
          100 *
          static_cast<double>(r.loads[static_cast<std::size_t>(layer * s.model.experts + e)]) /
          static_cast<double>(s.all_tokens()));
  return map;
}

/// Into a folder: loss.svg, drops.svg, experts_<policy>_layer<l>.svg, iterations.csv.
/// Throws invalid_problem where they can't be written.
inline void write_files(shunt::output_folder const& folder, training_setup const& s,
                        std::vector<policy_run> const& runs) {
  shunt::line_chart loss{.title = "Loss, mean of " + std::to_string(shunt::smoothing_window) +
                                  " iterations",
                         .x_label = "iteration",
                         .y_label = "cross-entropy, nats a byte"};
  shunt::line_chart drops{.title = "Tokens dropped over capacity",
                          .x_label = "iteration",
                          .y_label = "share of tokens, %",
                          .from_zero = true};
  std::ostringstream table;
  table << "policy,iteration,loss,smoothed_loss,dropped_percent,hottest_layer,hottest_expert,"
           "hottest_percent,gradient_bytes,weight_bytes\n";
  for (auto const& run : runs) {
    auto const smooth = shunt::smoothed_losses(run.records);
    std::vector<double> dropped;
    for (std::size_t t = 0; t < run.records.size(); ++t) {
      auto const& r = run.records[t];
      auto const hot = shunt::hottest(s, r);
      dropped.push_back(100 * shunt::dropped_share(s, r));
      table << run.name << ',' << std::to_string(t) << ',' << shunt::decimal(r.loss, 6) << ','
            << shunt::decimal(smooth[t], 6) << ',' << shunt::decimal(dropped[t], 3) << ','
            << std::to_string(hot.layer) << ',' << std::to_string(hot.expert) << ','
            << shunt::decimal(100 * hot.share, 3) << ',' << std::to_string(r.gradients.moved) << ','
            << std::to_string(r.weights.moved) << '\n';
    }
    loss.lines.push_back(line_of(run, smooth));
    drops.lines.push_back(line_of(run, dropped));
    for (std::int32_t l = 0; l < s.model.layers; ++l) {
      folder.file("experts_" + run.name + "_layer" + std::to_string(l) + ".svg",
                  [&](std::ostream& out) { write_svg(out, loads_of(s, run, l)); });
    }
  }
  folder.text("iterations.csv", table.str());
  folder.file("loss.svg", [&](std::ostream& out) { write_svg(out, loss); });
  folder.file("drops.svg", [&](std::ostream& out) { write_svg(out, drops); });
}

/// All digits of a number: it reads back as the same bits.
inline std::string digits(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

inline std::string percent(double share) { return shunt::decimal(100 * share, 1) + " %"; }

inline std::string milliseconds(shunt::ticks nanoseconds) {
  return shunt::decimal(static_cast<double>(nanoseconds) * 1e-6, 2) + " ms";
}

/// "3, 4"
inline std::string describe(std::vector<shunt::rank_id> const& ranks) {
  std::string words;
  for (auto const r : ranks) words += (words.empty() ? "" : ", ") + std::to_string(r.value());
  return words;
}

/// The phases of a recovery; where ranks are processes, the longest that any survivor saw.
inline void print(rank_loss const& l) {
  std::cout << "recovery from "
            << (l.ranks.empty() ? "broken connections" : "rank " + describe(l.ranks))
            << " in iteration " << l.iteration << ": detect " << milliseconds(l.detect)
            << ", agree " << milliseconds(l.agree) << ", re-plan " << milliseconds(l.replan)
            << ", restore " << milliseconds(l.restore) << " (" << l.steps_undone
            << " steps undone, " << l.state_bytes << " bytes of optimizer state copied), rebuild "
            << milliseconds(l.rebuild) << ", redo " << milliseconds(l.redo) << " ("
            << l.instructions_lost << " instructions lost)" << std::endl;
}

/// What a run prints as it goes.
struct progress_printer {
  training_setup const& setup;
  std::string const& name;

  void operator()(rank_loss const& l) const { print(l); }
  void operator()(std::int32_t t, iteration_record const& r) const {
    auto const hot = shunt::hottest(setup, r);
    std::cout << name << " iteration " << t << " loss " << digits(r.loss) << " dropped "
              << percent(shunt::dropped_share(setup, r)) << " hottest expert " << hot.expert
              << " of layer " << hot.layer << " with " << percent(hot.share) << std::endl;
  }
};

/// Over how many iterations a device's losses are compared with the host's, and the largest
/// relative difference that rounding explains. Outside of the experts, whose arithmetic is exact, a
/// device sums in another order than the host. That shows in the eighth digit of a loss until a
/// token's two best experts are so close that it goes to the other one; then loads, placements and
/// drops may part, too (4e-4 where products were sums in ascending order on the host, after 55
/// iterations with 1,024 tokens each).
inline constexpr std::int64_t iterations_compared = 50;
inline constexpr double loss_tolerance = 1e-2;

/// Are the first losses of a device as near to the host's as they should be?
inline bool near(policy_run const& found, policy_run const& host) {
  auto const worst =
      shunt::largest_difference(shunt::losses_of(found.records), shunt::losses_of(host.records));
  bool const good = worst.relative <= loss_tolerance;
  std::cout << (good ? "near" : "too far from") << " the host's losses: " << found.name
            << " at most " << digits(worst.relative) << " of a loss away in the first "
            << host.records.size() << " iterations, in iteration " << worst.iteration << "; "
            << digits(loss_tolerance) << " allowed\n";
  return good;
}

/// Where nothing was dropped, losses and parameters don't depend on where experts were, nor on who
/// was lost.
inline bool compare(std::vector<policy_run> const& runs) {
  for (auto const& run : runs)
    if (shunt::drops_tokens(run.records)) {
      std::cout << "not compared: " << run.name
                << " dropped tokens, and then bits depend on where experts are\n";
      return true;
    }
  for (std::size_t i = 1; i < runs.size(); ++i)
    if (auto const found = difference(runs[0], runs[i])) {
      std::cout << *found << '\n';
      return false;
    }
  std::cout << "identical: " << runs[0].records.size() << " losses and "
            << runs[0].parameters.size() << " parameters of " << runs[0].name;
  for (std::size_t i = 1; i < runs.size(); ++i)
    std::cout << (i + 1 < runs.size() ? ", " : " and ") << runs[i].name;
  std::cout << '\n';
  return true;
}

inline void print_bytes(policy_run const& run, char const* phase, char const* formula,
                        phase_bytes const& sum) {
  auto const iterations = static_cast<shunt::byte_count>(run.records.size());
  auto const each = [&](shunt::byte_count bytes) {
    return shunt::decimal(static_cast<double>(bytes) / static_cast<double>(iterations), 0);
  };
  std::cout << "  " << phase << " formula " << formula << " " << each(sum.formula) << ", counted "
            << each(sum.counted) << "; between ranks " << each(sum.plain) << ", de-duplicated "
            << each(sum.deduplicated) << ", this run " << each(sum.moved) << '\n';
}

/// What the runs show; the answer says whether bytes are as the formulas say.
inline bool summarise(training_setup const& setup, std::vector<policy_run> const& runs) {
  bool sound = true;
  std::size_t skewed = 0;
  bool always_skewed = true;
  for (auto const& run : runs) {
    auto const from = shunt::skewed_from(setup, run.records);
    always_skewed = always_skewed && from;
    skewed = std::max(skewed, from.value_or(0));
  }
  if (!always_skewed) skewed = 0;
  if (always_skewed)
    std::cout
        << "\nRouting is skewed (an expert of every layer has twice the mean load) from iteration "
        << skewed << " on; drops are means from there on.\n";
  else
    std::cout << "\nRouting never became skewed; drops are means over the whole run.\n";
  double const target = shunt::smoothed_losses(runs.back().records).back();
  std::vector<double> drops;
  for (auto const& run : runs) {
    drops.push_back(shunt::dropped_share(setup, run.records, skewed));
    auto const needed = shunt::iterations_to(run.records, target);
    auto const iterations = static_cast<double>(run.records.size());
    std::cout << run.name << ": dropped " << percent(drops.back()) << ", loss "
              << shunt::decimal(shunt::smoothed_losses(run.records).back(), 4)
              << " at the end (mean of " << shunt::smoothing_window << "), at most "
              << shunt::decimal(target, 4) << " after "
              << (needed ? std::to_string(*needed)
                         : "more than " + std::to_string(run.records.size()))
              << " iterations; " << shunt::decimal(run.seconds / iterations, 3)
              << " s an iteration\n";
    std::cout << "  the fullest rank has "
              << shunt::decimal(shunt::mean_balance(run.records, skewed), 3)
              << " times the mean rank's tokens\n"
              << "  bytes of an iteration, all ranks and layers:\n";
    print_bytes(run, "gradients", setup.copies > 1 ? "sNG a copy" : "sNG",
                shunt::total_bytes(run.records, &iteration_record::gradients));
    print_bytes(run, "weights  ", "sNW",
                shunt::total_bytes(run.records, &iteration_record::weights));
    std::int64_t misfits = 0;
    for (auto const& r : run.records) misfits += r.misfits;
    if (misfits > 0)
      std::cout << "  warning: " << misfits
                << " values did not fit fixed point: sums may not be exact\n";
    if (!shunt::bytes_hold(run.records)) {
      sound = false;
      std::cout << "  differ: bytes are not what the formulas say\n";
    }
  }
  if (runs.size() == 2 && drops.back() > 0)
    std::cout << runs[0].name << " drops " << percent(std::abs(1 - drops[0] / drops[1]))
              << (drops[0] > drops[1] ? " more" : " fewer") << " tokens than " << runs[1].name
              << '\n';
  return sound;
}

/// Files that a run leaves. What can't be written is found before the training.
class output_files {
 public:
  explicit output_files(options const& o) {
    if (!o.trace.empty()) trace_.emplace("--trace", o.trace);
    if (!o.out.empty()) folder_.emplace("--out", o.out);
  }
  void write(training_setup const& setup, std::vector<policy_run> const& runs) const {
    if (trace_)
      trace_->write(shunt::rendered([&](std::ostream& out) {
        shunt::write_load_series_csv(out, shunt::load_series_of(runs.front().records));
      }));
    if (folder_) write_files(*folder_, setup, runs);
  }
  /// Another file of the folder of --out, where there is one.
  void write(std::string const& name, std::string const& content) const {
    if (folder_) folder_->text(name, content);
  }

 private:
  std::optional<shunt::output_file> trace_{};
  std::optional<shunt::output_folder> folder_{};
};

/// All there is to say at the end, and to write; the exit status. `disturbed`: runs are to be
/// compared with the first policy's `undisturbed()`.
template <class Undisturbed>
int conclude(options const& o, output_files const& files, std::vector<policy_run> runs,
             bool disturbed, Undisturbed const& undisturbed) {
  files.write(o.setup, runs);
  bool sound = summarise(o.setup, runs);
  if (!disturbed && !(o.dropless && runs.size() > 1)) return sound ? 0 : 1;
  if (disturbed && std::none_of(runs.begin(), runs.end(),
                                [](auto const& run) { return shunt::drops_tokens(run.records); })) {
    runs.push_back(undisturbed());
    runs.back().name += " without losses";
  }
  sound = compare(runs) && sound;
  return sound ? 0 : 1;
}

}  // namespace example
