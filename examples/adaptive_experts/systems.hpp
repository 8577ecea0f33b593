#pragma once
/// Systems of training compared over seeds: iterations to a loss, drops, and the time that
/// measure/moe_time.hpp gives each iteration. See docs/moe-systems.md.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "outcome.hpp"
#include "shunt/shunt.hpp"
#include "text.hpp"
#include "training.hpp"

namespace example {

/// The model whose times are claimed, on SYMI's machines: experts of GPT-Small (8 d^2 parameters
/// with d = 768) in half precision with Adam's state, 100 Gb/s between ranks and PCIe 4.0 x16.
struct claimed_model {
  double width = 768;
  double weight_bytes = 8 * 768.0 * 768 * 2;
  double state_bytes = 8 * weight_bytes;
  double network = 12.5e9, host = 32e9;
  shunt::moe_calibration calibration{};
};

shunt::moe_time_model time_model_of(training_setup const& s, claimed_model const& m = {});

/// Where a system keeps the optimizer's state of experts.
shunt::optimizer_place state_of(std::string_view system);

/// What a run came to.
struct system_figures {
  double dropped = 0;                       ///< share of the tokens of all iterations
  double pooled = 0;                        ///< the same if the slots' room served all sources
  double last_loss = 0;                     ///< smoothed
  std::optional<std::size_t> iterations{};  ///< until the target
  shunt::moe_times seconds{};  ///< of an iteration, of all layers, mean until the target
  double received = 0;         ///< the most experts that a rank received at once
  /// Model minutes so far and smoothed loss after each iteration.
  std::vector<std::pair<double, double>> curve{};

  std::optional<double> minutes(bool by_formula) const {
    if (!iterations) return std::nullopt;
    return static_cast<double>(*iterations) / 60 *
           (by_formula ? seconds.total_by_formula() : seconds.total());
  }
};

/// Tokens that would drop if slots, not sources, had the room.
double pooled_share(training_setup const& s, policy_run const& run);

system_figures figures_of(training_setup const& s, policy_run const& run, double target,
                          shunt::moe_time_model const& model, double tokens);

using shunt::spread;
/// "2.0 (1.0 to 3.0)"
std::string text_of(spread const& s, int digits);
nlohmann::ordered_json json_of(spread const& s);

/// By how much a paper's system has less than another, in percent.
struct published_reduction {
  std::string_view against{};
  double iterations = 0, drops = 0, time = 0;
};

/// The least loss that a run has, smoothed.
double reached(policy_run const& run);

/// All systems over all seeds.
class system_table {
 public:
  /// `runs`: seed by seed, in each all systems in order. Without a target, the loss that the
  /// slowest run reaches.
  system_table(training_setup const& setup, std::vector<std::string> const& systems,
               std::vector<policy_run> const& runs, std::optional<double> target,
               claimed_model const& claimed = {});

  double target() const { return target_; }
  system_figures const& figures(std::size_t system, std::size_t seed) const {
    return figures_[system][seed];
  }

  /// Of one system over the seeds: what `of(figures)` gives, an optional number.
  template <class Of>
  spread over_seeds(std::size_t system, Of const& of) const {
    std::vector<double> values;
    for (auto const& f : figures_[system])
      if (std::optional<double> const value = of(f)) values.push_back(*value);
    return spread(std::move(values));
  }
  /// By how much the first system has less than another, seed by seed: 1 - a / b.
  template <class Of>
  spread reduction(std::size_t against, Of const& of) const {
    std::vector<double> values;
    for (std::size_t k = 0; k < figures_[against].size(); ++k) {
      std::optional<double> const a = of(figures_[0][k]), b = of(figures_[against][k]);
      if (a && b && *b > 0) values.push_back(100 * (1 - *a / *b));
    }
    return spread(std::move(values));
  }

  void print(std::ostream& out) const;
  /// By how much the first system has less than each other, beside a paper's figures where given.
  void print_reductions(std::ostream& out,
                        std::span<published_reduction const> published = {}) const;
  /// A line a system: its median loss over the seeds by its median model time, the last quarter of
  /// the way down to the target and beyond; and the target.
  shunt::line_chart loss_over_time() const;
  nlohmann::ordered_json json() const;

  static std::optional<double> percent_dropped(system_figures const& f) { return 100 * f.dropped; }
  static std::optional<double> iterations(system_figures const& f) {
    return f.iterations ? std::optional(static_cast<double>(*f.iterations)) : std::nullopt;
  }
  static std::optional<double> minutes(system_figures const& f) { return f.minutes(false); }
  static std::optional<double> formula_minutes(system_figures const& f) { return f.minutes(true); }
  static std::optional<double> received(system_figures const& f) { return f.received; }

 private:
  using part = std::function<std::optional<double>(system_figures const&)>;
  static std::vector<std::pair<std::string, part>> parts();
  std::string reached_by(std::size_t system) const;

  std::vector<std::string> systems_;
  claimed_model claimed_;
  shunt::moe_time_model model_;
  double target_ = 0;
  bool given_ = false;
  std::vector<std::uint64_t> seeds_{};
  std::vector<std::vector<system_figures>> figures_{};  // by system, by seed
  std::vector<double> tied_{};
};

/// The line of a run that has ended.
std::string described(training_setup const& s, policy_run const& run);

/// Trains every system with every seed, several at a time. `train(setup, system)` trains one, and
/// is called from several threads; `say(run)` hears of each run, in order.
/// Throws what `train` throws, of the first run in order.
template <class Train, class Say>
std::vector<policy_run> train_systems(training_setup const& setup,
                                      std::vector<std::string> const& systems, std::int32_t seeds,
                                      std::size_t threads, Train const& train, Say const& say) {
  auto const count = systems.size() * static_cast<std::size_t>(seeds);
  std::vector<std::promise<policy_run>> done(count);
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> given_up = false;
  auto const work = [&] {
    for (std::size_t i = next++; i < count && !given_up; i = next++) try {
        auto own = setup;
        own.seed += i / systems.size();
        auto run = train(own, systems[i % systems.size()]);
        run.seed = own.seed;
        run.parameters.clear();
        done[i].set_value(std::move(run));
      } catch (...) {
        given_up = true;
        done[i].set_exception(std::current_exception());
      }
  };
  std::vector<policy_run> runs;
  std::vector<std::jthread> workers;
  for (std::size_t k = 0; k < std::min(std::max<std::size_t>(threads, 1), count); ++k)
    workers.emplace_back(work);
  for (std::size_t i = 0; i < count; ++i) {
    runs.push_back(done[i].get_future().get());
    say(runs.back());
  }
  return runs;
}

/// The same on the host: a run takes a thread, and there are as many as the machine has.
std::vector<policy_run> train_on_host(training_setup const& setup,
                                      std::vector<std::string> const& systems, std::int32_t seeds,
                                      text_bytes const& text,
                                      std::function<void(policy_run const&)> const& say);

}  // namespace example
