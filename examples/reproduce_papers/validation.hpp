#pragma once
/// What must agree with others' figures before a table is worth reading.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "artifact.hpp"
#include "closed_forms.hpp"
#include "published.hpp"
#include "shunt/problem/failure_trace.hpp"
#include "template_rates.hpp"

namespace reproduce_papers {

/// A trace and its name.
struct named_trace {
  std::string name{};
  shunt::failure_trace trace{};
};

/// The artifact's rules on its traces, samples/s.
struct artifact_check {
  std::string_view system{}, model{};
  std::vector<double> recorded{}, shipped{}, repaired{};

  /// Returns the largest relative difference between the recorded and the shipped means.
  [[nodiscard]] double error() const {
    double worst = 0;
    for (std::size_t k = 0; k < recorded.size(); ++k) {
      double const off = std::abs(shipped[k] - recorded[k]);
      if (off > .0005) worst = std::max(worst, off / std::max(recorded[k], .001));
    }
    return worst;
  }
};

/// Requires the traces of trace_names, in that order.
[[nodiscard]] inline std::vector<artifact_check> check_artifact(
    std::vector<named_trace> const& traces) {
  std::vector<artifact_check> all;
  auto const add = [&]<class Simulator>(std::string_view system, auto const& tables, Simulator*) {
    for (auto const& t : tables) {
      artifact_check row{.system = system, .model = t.table.model};
      for (std::size_t k = 0; k < traces.size(); ++k) {
        row.recorded.push_back(t.means[k]);
        row.shipped.push_back(Simulator(traces[k].trace, t.table, true).mean());
        row.repaired.push_back(Simulator(traces[k].trace, t.table, false).mean());
      }
      all.push_back(std::move(row));
    }
  };
  add("Oobleck", oobleck_tables, static_cast<artifact_oobleck*>(nullptr));
  add("Varuna", varuna_tables, static_cast<artifact_varuna*>(nullptr));
  add("Bamboo", bamboo_tables, static_cast<artifact_bamboo*>(nullptr));
  return all;
}

/// The mean of a curve over the authors' trace: `of(k)` is the throughput on 24 - k GPUs.
template <class Curve>
[[nodiscard]] double mean_over_counts(Curve const& of) {
  double work = 0, seconds = 0;
  for (std::size_t k = 0; k < seconds_of_counts.size(); ++k) {
    work += seconds_of_counts[k] * of(k);
    seconds += seconds_of_counts[k];
  }
  return work / seconds;
}
[[nodiscard]] inline double published_mean(std::array<double, 10> const& curve) {
  return mean_over_counts([&](std::size_t k) { return curve[k]; });
}
[[nodiscard]] inline double scaled_mean(std::array<double, 10> const& curve) {
  return mean_over_counts(
      [&](std::size_t k) { return curve[0] * static_cast<double>(24 - k) / 24; });
}

/// How far a curve is from another, both relative to their first points.
struct curve_fit {
  double rms = 0, worst = 0;
};
template <class Ours, class Points>
[[nodiscard]] curve_fit distance(Ours const& ours, Points const& points) {
  curve_fit fit;
  std::size_t n = 0;
  for (; n < points.size(); ++n) {
    double const off = ours(static_cast<std::int32_t>(n)) - points[n] / points[0];
    fit.rms += off * off;
    fit.worst = std::max(fit.worst, std::abs(off));
  }
  fit.rms = std::sqrt(fit.rms / static_cast<double>(n));
  return fit;
}

/// The closed form that fits a published curve best: micro-batches, and the share of an iteration
/// that each failure adds beside it.
struct closed_form_fit {
  std::int32_t microbatches = 0;
  double a_failure = 0;
  curve_fit fit{};
};
[[nodiscard]] inline closed_form_fit fit_closed_form(std::array<double, 10> const& points) {
  closed_form_fit best{.fit = {.rms = 1e9}};
  for (std::int32_t m = 4; m <= 48; ++m)
    for (int thousandths = 0; thousandths <= 30; ++thousandths) {
      testbed const t{.microbatches = m};
      double const each = thousandths / 1000.0;
      auto const fit = distance(
          [&](std::int32_t n) { return published_slipstream(t, n) / (1 + each * n); }, points);
      if (fit.rms < best.fit.rms) best = {m, each, fit};
    }
  return best;
}

/// Templates by formula against Oobleck's own throughput on 30 .. 15 nodes: GPT-3 medium.
struct template_fit {
  curve_fit templates{}, scaled{};
};
[[nodiscard]] inline template_fit fit_templates() {
  testbed const t{.pipelines = 15, .stages = 2, .microbatches = 32, .layers = 24, .least = 1};
  auto const& points = oobleck_tables[2].table.rate;
  auto const rate = [&](std::int32_t n) {
    return best_templates(t, pipeline_order::one_f_one_b, t.nodes() - n).rate;
  };
  double const whole = rate(0);
  return {distance([&](std::int32_t n) { return rate(n) / whole; }, points),
          distance([&](std::int32_t n) { return fault_scaled(t, n); }, points)};
}

}  // namespace reproduce_papers
