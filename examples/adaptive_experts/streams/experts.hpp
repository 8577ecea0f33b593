#pragma once
/// An expert's forward and backward pass over one slot, as function objects between the matrix
/// products of a device: expert.hpp in exact arithmetic, so the bits are the host's, too.
///
/// Only the device knows how many tokens a slot has. So matrices have as many rows as a slot can
/// take, those beyond its tokens are zero, and the products keep their shape.
#include <cmath>
#include <cstdint>

#include "../grid.hpp"
#include "shunt/core/host_device.hpp"
#include "shunt/train/stream_moe_model.hpp"

namespace example::moe {

/// Numbers that belong to an expert's parameters, part by part so that each can be an operand of a
/// product.
struct expert_parts {
  std::int64_t width = 1, hidden = 1;
  double *w1 = nullptr, *b1 = nullptr, *w2 = nullptr, *b2 = nullptr;

  [[nodiscard]] SHUNT_HD std::int64_t elements() const {
    return 2 * width * hidden + hidden + width;
  }
  /// The i-th in the order of expert_mlp.
  [[nodiscard]] SHUNT_HD double& operator[](std::int64_t i) const {
    std::int64_t const block = width * hidden;
    if (i < block) return w1[i];
    if (i < block + hidden) return b1[i - block];
    if (i < 2 * block + hidden) return w2[i - block - hidden];
    return b2[i - 2 * block - hidden];
  }
};

/// Items: elements.
struct take_parameters {
  float const* from = nullptr;
  expert_parts to{};

  SHUNT_HD void operator()(std::int64_t i) const { to[i] = static_cast<double>(from[i]); }
};

/// Rows of a slot's tokens, zero beyond them. Items: rows x width.
struct gather_slot {
  shunt::slot_rows arrivals{};
  float const* from = nullptr;  ///< rows that travelled
  std::int64_t width = 1;
  double* rows = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const row = i / width;
    rows[i] =
        row < arrivals.tokens() ? static_cast<double>(from[arrivals[row] * width + i % width]) : 0;
  }
};

/// relu(W1 x + b1) on the activation grid, from W1 x. Items: rows x hidden.
struct activate {
  shunt::slot_rows arrivals{};
  double const* b1 = nullptr;
  std::int64_t hidden = 1;
  double* inner = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    double const v = inner[i] + b1[i % hidden];
    inner[i] = i / hidden < arrivals.tokens() && !(v <= 0) ? on_activation_grid{}(v) : 0;
  }
};

/// Its backward pass: gradients pass, on their grid, where the activation is above 0. Items: rows x
/// hidden.
struct activate_backward {
  double const* inner = nullptr;
  double* through = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    through[i] = inner[i] > 0 ? on_gradient_grid{}(through[i]) : 0;
  }
};

/// A slot's rows, on a grid, to where its tokens were. Items: rows x width.
template <class Grid>
struct scatter_slot {
  shunt::slot_rows arrivals{};
  double const* rows = nullptr;
  double const* bias = nullptr;  ///< added to each row; null: none
  std::int64_t width = 1;
  float* to = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const row = i / width, column = i % width;
    if (row < arrivals.tokens())
      to[arrivals[row] * width + column] =
          static_cast<float>(Grid{}(rows[i] + (bias != nullptr ? bias[column] : 0)));
  }
};

/// Sums of a matrix's columns, and of their squares. An item is a column.
struct measure_columns {
  shunt::slot_rows arrivals{};
  double const* rows = nullptr;
  std::int64_t columns = 1;
  double* sums = nullptr;  ///< null: not wanted
  double* squares = nullptr;

  SHUNT_HD void operator()(std::int64_t c) const {
    double sum = 0, square = 0;
    for (std::int64_t row = 0; row < arrivals.tokens(); ++row) {
      double const v = rows[row * columns + c];
      sum += v;
      square += v * v;
    }
    if (sums != nullptr) sums[c] = sum;
    squares[c] = square;
  }
};

/// Takes the gradient over as integers, and counts a slot where it may be beyond exact arithmetic,
/// as expert_mlp::backward does. A team.
struct keep_expert_gradient {
  shunt::slot_rows arrivals{};
  expert_parts sums{};
  double const *x = nullptr, *inner = nullptr, *through = nullptr,
               *above = nullptr;  ///< measure_columns::squares of each
  std::int64_t* gradient = nullptr;
  std::int64_t* misfits = nullptr;

  [[nodiscard]] SHUNT_HD constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  SHUNT_HD void operator()(Team const& team, std::int32_t, unsigned char*) const {
    constexpr double most = 0x1p53 * weight_gradient_unit;
    std::int64_t const bad = team.sum([&](std::int32_t thread) {
      std::int64_t mine = 0;
      for (std::int64_t i = thread; i < sums.elements(); i += team.size()) {
        double const sum = sums[i];
        bool const fits = sum < most && sum > -most;  // false for a NaN
        gradient[i] = fits ? static_cast<std::int64_t>(sum / weight_gradient_unit) : 0;
        mine += !fits;
      }
      return mine;
    });
    team.each([&](std::int32_t thread) {
      if (thread != 0) return;
      double const ones = static_cast<double>(arrivals.tokens());  // biases: a column of ones
      bool const exact =
          bad == 0 &&
          std::sqrt(largest(through, sums.hidden, 0) * largest(x, sums.width, ones)) < most &&
          std::sqrt(largest(above, sums.width, 0) * largest(inner, sums.hidden, ones)) < most;
      *misfits += !exact;
    });
  }

 private:
  /// Of values that may be NaN, which stays.
  [[nodiscard]] SHUNT_HD static double largest(double const* values, std::int64_t count,
                                               double least) {
    double most = least;
    for (std::int64_t i = 0; i < count; ++i)
      if (!(values[i] <= most)) most = values[i];
    return most;
  }
};

/// Masters become weights on their grid. An item is an element.
struct round_weights {
  float const* masters = nullptr;
  float* weights = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    weights[i] = static_cast<float>(on_weight_grid{}(static_cast<double>(masters[i])));
  }
};

}  // namespace example::moe
