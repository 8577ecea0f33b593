#include "systems.hpp"

#include <limits>

#include "policy_training.hpp"
#include "shunt/io/text_table.hpp"

namespace example {

using shunt::fixed;
using shunt::text_table;

std::string text_of(spread const& s, int digits) {
  if (s.count == 0) return "-";
  return shunt::decimal(s.median, digits) + " (" + shunt::decimal(s.least, digits) + " to " +
         shunt::decimal(s.most, digits) + ")";
}

nlohmann::ordered_json json_of(spread const& s) {
  if (s.count == 0) return nullptr;
  return {{"median", s.median}, {"min", s.least}, {"max", s.most}, {"runs", s.count}};
}

shunt::moe_time_model time_model_of(training_setup const& s, claimed_model const& m) {
  return shunt::calibrated({.ranks = static_cast<double>(s.ranks),
                            .slots_per_rank = static_cast<double>(s.slots_per_rank),
                            .experts = static_cast<double>(s.model.experts),
                            .gradient_bytes = m.weight_bytes,
                            .weight_bytes = m.weight_bytes,
                            .state_bytes = m.state_bytes,
                            .network_bandwidth = m.network,
                            .host_bandwidth = m.host},
                           2 * m.width, m.calibration);
}

shunt::optimizer_place state_of(std::string_view system) {
  bool const tied = system == "deepspeed" || flexmoe_interval("--policy", system);
  return tied ? shunt::optimizer_place::tied : shunt::optimizer_place::decoupled;
}

double pooled_share(training_setup const& s, policy_run const& run) {
  shunt::expert_layers const layers{
      .layers = s.model.layers,
      .experts = s.model.experts,
      .loads = std::vector<std::int64_t>(run.records.front().loads.size(), 1),
      .slots_per_rank =
          std::vector<std::int32_t>(static_cast<std::size_t>(s.ranks), s.slots_per_rank)};
  auto const plan = shunt::uniform{}(layers).plan;
  std::int64_t dropped = 0;
  for (auto const& r : run.records)
    for (auto const l : shunt::ids<shunt::layer_id>(s.model.layers)) {
      auto const experts = static_cast<std::size_t>(s.model.experts);
      dropped += shunt::drops_under_capacity(
          std::span(r.loads).subspan(l.index() * experts, experts), plan, l, s.slot_capacity());
    }
  return static_cast<double>(dropped) / static_cast<double>(run.records.size()) /
         static_cast<double>(s.all_tokens() * s.model.layers);
}

system_figures figures_of(training_setup const& s, policy_run const& run, double target,
                          shunt::moe_time_model const& model, double tokens) {
  auto const losses = shunt::smoothed_losses(run.records);
  system_figures f{.dropped = shunt::dropped_share(s, run.records, 0),
                   .last_loss = losses.back(),
                   .iterations = shunt::iterations_to(run.records, target)};
  f.pooled = run.name == "deepspeed" ? pooled_share(s, run) : f.dropped;
  auto const until = f.iterations.value_or(run.records.size());
  double minutes = 0;
  auto const of = setup_for(s, run.name);
  auto const where = state_of(run.name);
  for (std::size_t t = 0; t < run.records.size(); ++t) {
    for (std::size_t l = 0; l < static_cast<std::size_t>(s.model.layers); ++l) {
      auto const work = shunt::layer_work(of, run.records[t], l, where, tokens);
      auto const seconds = model(work, where);
      f.received = std::max(f.received, work.received);
      if (t < until) f.seconds += seconds;
      minutes += seconds.total() / 60;
    }
    f.curve.emplace_back(minutes, losses[t]);
  }
  for (auto* const part :
       {&f.seconds.compute, &f.seconds.exchange, &f.seconds.gradient, &f.seconds.weights,
        &f.seconds.migrate, &f.seconds.gradient_formula, &f.seconds.weights_formula})
    *part /= static_cast<double>(until);
  return f;
}

double reached(policy_run const& run) {
  auto const losses = shunt::smoothed_losses(run.records);
  return *std::min_element(losses.begin(), losses.end());
}

system_table::system_table(training_setup const& setup, std::vector<std::string> const& systems,
                           std::vector<policy_run> const& runs, std::optional<double> target,
                           claimed_model const& claimed)
    : systems_(systems), claimed_(claimed), model_(time_model_of(setup, claimed)) {
  for (auto const& run : runs) target_ = std::max(target_, run.records.empty() ? 0 : reached(run));
  given_ = target.has_value();
  if (target) target_ = *target;
  figures_.resize(systems.size());
  tied_.resize(systems.size(), 0);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    auto const at = i % systems.size();
    figures_[at].push_back(
        figures_of(setup, runs[i], target_, model_, claimed_.calibration.tokens));
    tied_[at] = std::max(tied_[at], runs[i].tied_state);
    if (at == 0) seeds_.push_back(runs[i].seed);
  }
}

void system_table::print(std::ostream& out) const {
  auto const& of = model_.sizes;
  out << "\nsystems over " << seeds_.size() << (seeds_.size() == 1 ? " seed" : " seeds")
      << " (from " << seeds_.front() << "), target loss " << shunt::decimal(target_, 4)
      << " (mean of " << shunt::smoothing_window << ")"
      << (given_ ? "" : ", which the slowest run reaches")
      << "; median (least to most) over seeds\n"
      << "time model: W " << shunt::decimal(of.weight_bytes, 0) << " bytes, O "
      << shunt::decimal(of.state_bytes, 0) << " bytes, "
      << shunt::decimal(claimed_.calibration.tokens, 0) << " tokens of "
      << shunt::decimal(model_.token_bytes, 0) << " bytes a rank; "
      << shunt::decimal(of.network_bandwidth * 1e-9, 1) << " GB/s between ranks, "
      << shunt::decimal(of.host_bandwidth * 1e-9, 1) << " GB/s to the host; c0 "
      << shunt::decimal(1e3 * model_.fixed_seconds, 3) << " ms and c "
      << shunt::decimal(1e6 * model_.token_seconds, 3) << " us a token, so that a layer takes "
      << shunt::decimal(1e3 * shunt::ordinary_seconds(of, claimed_.calibration), 2)
      << " ms where nothing moves\n\n";
  text_table all;
  all.row({"", "optimizer state", "dropped %", "iterations to the target", "minutes",
           "minutes by the formula"});
  for (std::size_t i = 0; i < systems_.size(); ++i)
    all.row({systems_[i], std::string(to_string(state_of(systems_[i]))),
             text_of(over_seeds(i, percent_dropped), 1),
             reached_by(i) + text_of(over_seeds(i, iterations), 0),
             text_of(over_seeds(i, minutes), 3), text_of(over_seeds(i, formula_minutes), 3)});
  text_table split;
  split.row({"", "compute", "exchange", "gradient", "weights", "migrate", "total",
             "by the formula: gradient", "weights", "total"});
  for (std::size_t i = 0; i < systems_.size(); ++i) {
    std::vector<std::string> cells{systems_[i]};
    for (auto const& [name, of_part] : parts())
      cells.push_back(fixed(1e3 * over_seeds(i, of_part).median, 2));
    split.row(std::move(cells));
  }
  out << all << "\nmilliseconds an iteration, all layers, median over seeds\n\n" << split << '\n';
  for (std::size_t i = 0; i < systems_.size(); ++i) {
    if (systems_[i] == "deepspeed")
      out << "deepspeed: with the room of slots for all sources it would drop "
          << text_of(over_seeds(i, [](auto const& f) { return std::optional(100 * f.pooled); }), 1)
          << " %\n";
    if (state_of(systems_[i]) != shunt::optimizer_place::tied) continue;
    out << systems_[i] << ": ";
    if (auto const experts = over_seeds(i, received).most; experts > 0)
      out << "a rank receives at most " << shunt::decimal(experts, 0)
          << " experts of a layer at once, whose second copy takes "
          << shunt::decimal(model_.second_copy_bytes(experts) * 1e-6, 1) << " MB; ";
    out << "optimizer state of a layer takes at most "
        << shunt::decimal(tied_[i] * of.state_bytes * 1e-6, 1) << " MB on a rank, decoupled "
        << shunt::decimal(of.state_per_rank() * 1e-6, 1) << " MB\n";
  }
  out << std::flush;
}

nlohmann::ordered_json system_table::json() const {
  auto const& of = model_.sizes;
  nlohmann::ordered_json all{
      {"seeds", seeds_},
      {"target_loss", target_},
      {"smoothed_over", shunt::smoothing_window},
      {"time_model",
       {{"weight_bytes", of.weight_bytes},
        {"state_bytes", of.state_bytes},
        {"token_bytes", model_.token_bytes},
        {"tokens_per_rank", claimed_.calibration.tokens},
        {"network_bandwidth", of.network_bandwidth},
        {"host_bandwidth", of.host_bandwidth},
        {"token_seconds", model_.token_seconds},
        {"fixed_seconds", model_.fixed_seconds},
        {"ordinary_seconds", shunt::ordinary_seconds(of, claimed_.calibration)}}},
      {"systems", nlohmann::ordered_json::array()}};
  for (std::size_t i = 0; i < systems_.size(); ++i) {
    nlohmann::ordered_json one{{"system", systems_[i]},
                               {"optimizer", to_string(state_of(systems_[i]))},
                               {"dropped_percent", json_of(over_seeds(i, percent_dropped))},
                               {"iterations", json_of(over_seeds(i, iterations))},
                               {"minutes", json_of(over_seeds(i, minutes))},
                               {"minutes_by_formula", json_of(over_seeds(i, formula_minutes))}};
    if (systems_[i] == "deepspeed")
      one["dropped_percent_pooled"] =
          json_of(over_seeds(i, [](auto const& f) { return std::optional(100 * f.pooled); }));
    nlohmann::ordered_json seconds;
    for (auto const& [name, of_part] : parts()) seconds[name] = json_of(over_seeds(i, of_part));
    one["seconds_per_iteration"] = std::move(seconds);
    auto const experts = over_seeds(i, received);
    bool const tied = state_of(systems_[i]) == shunt::optimizer_place::tied;
    one["most_received"] = experts.most;
    one["state_bytes_of_fullest_rank"] = tied ? tied_[i] * of.state_bytes : of.state_per_rank();
    one["second_copy_bytes"] = tied ? model_.second_copy_bytes(experts.most) : 0;
    if (i > 0)
      one["reductions_percent"] = {{"of", systems_[0]},
                                   {"iterations", json_of(reduction(i, iterations))},
                                   {"drops", json_of(reduction(i, percent_dropped))},
                                   {"time", json_of(reduction(i, minutes))},
                                   {"time_by_formula", json_of(reduction(i, formula_minutes))}};
    all["systems"].push_back(std::move(one));
  }
  return all;
}

std::vector<std::pair<std::string, system_table::part>> system_table::parts() {
  auto const of = [](double shunt::moe_times::* member) {
    return part([member](system_figures const& f) { return f.seconds.*member; });
  };
  using times = shunt::moe_times;
  return {
      {"compute", of(&times::compute)},
      {"exchange", of(&times::exchange)},
      {"gradient", of(&times::gradient)},
      {"weights", of(&times::weights)},
      {"migrate", of(&times::migrate)},
      {"total", [](system_figures const& f) { return f.seconds.total(); }},
      {"gradient_by_formula", of(&times::gradient_formula)},
      {"weights_by_formula", of(&times::weights_formula)},
      {"total_by_formula", [](system_figures const& f) { return f.seconds.total_by_formula(); }}};
}

std::string system_table::reached_by(std::size_t system) const {
  auto const runs = over_seeds(system, iterations).count;
  return runs == seeds_.size()
             ? ""
             : std::to_string(runs) + " of " + std::to_string(seeds_.size()) + " runs: ";
}

void system_table::print_reductions(std::ostream& out,
                                    std::span<published_reduction const> published) const {
  out << '\n'
      << systems_[0] << " has less, in %" << (published.empty() ? "" : "; last, the paper's")
      << "\n\n";
  text_table table;
  std::vector<std::string> head{"", "iterations", "drops", "time", "time by the formula"};
  if (!published.empty()) head.insert(head.end(), {"iterations", "drops", "time"});
  table.row(head);
  for (std::size_t i = 1; i < systems_.size(); ++i) {
    std::vector<std::string> cells{"than " + systems_[i], text_of(reduction(i, iterations), 1),
                                   text_of(reduction(i, percent_dropped), 1),
                                   text_of(reduction(i, minutes), 1),
                                   text_of(reduction(i, formula_minutes), 1)};
    for (auto const& p : published)
      if (p.against == systems_[i])
        cells.insert(cells.end(), {fixed(p.iterations, 1), fixed(p.drops, 0), fixed(p.time, 1)});
    table.row(std::move(cells));
  }
  out << table << std::flush;
}

shunt::line_chart system_table::loss_over_time() const {
  using point = std::pair<double, double>;
  shunt::line_chart chart{.title = "The end of training, " +
                                   (seeds_.size() == 1
                                        ? "seed " + std::to_string(seeds_.front())
                                        : "medians of " + std::to_string(seeds_.size()) + " seeds"),
                          .x_label = "seconds of the time model",
                          .y_label = "loss, mean of " + std::to_string(shunt::smoothing_window) +
                                     " iterations, nats a byte",
                          .width = 900,
                          .height = 480};
  double first = std::numeric_limits<double>::infinity(), last = 0;
  for (std::size_t i = 0; i < systems_.size(); ++i) {
    shunt::series line{.name = systems_[i]};
    double shown = 0;  // the largest loss: a quarter of the way down to the target is left
    for (std::size_t t = shunt::smoothing_window; t < figures_[i].front().curve.size(); ++t) {
      auto const at = [&](double point::* member) {
        return over_seeds(i, [&](auto const& f) { return std::optional(f.curve[t].*member); })
            .median;
      };
      double const seconds = 60 * at(&point::first), loss = at(&point::second);
      if (shown == 0) shown = target_ + (loss - target_) / 4;
      if (loss > shown) continue;
      line.points.emplace_back(seconds, loss);
      first = std::min(first, seconds);
      last = std::max(last, seconds);
    }
    chart.lines.push_back(std::move(line));
  }
  if (first < last)
    chart.lines.push_back(
        {.name = "target", .points = {{first, target_}, {last, target_}}, .dashed = true});
  return chart;
}

std::string described(training_setup const& s, policy_run const& run) {
  return "seed " + std::to_string(run.seed) + ' ' + run.name + ": dropped " +
         shunt::decimal(100 * shunt::dropped_share(s, run.records, 0), 1) + " %, loss " +
         shunt::decimal(shunt::smoothed_losses(run.records).back(), 4) + " at the end";
}

std::vector<policy_run> train_on_host(training_setup const& setup,
                                      std::vector<std::string> const& systems, std::int32_t seeds,
                                      text_bytes const& text,
                                      std::function<void(policy_run const&)> const& say) {
  auto const train = [&](training_setup const& own, std::string const& name) {
    return train_inline(own, name, text);
  };
  return train_systems(setup, systems, seeds, std::thread::hardware_concurrency(), train, say);
}

}  // namespace example
