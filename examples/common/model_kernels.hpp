#pragma once
/// What the kernels of the language model compute between its matrix products. Each is a function
/// object of items, f(0) .. f(n - 1) in any order or at once; whatever is summed is summed by one
/// item in a fixed order. The formulas are those of language_model.hpp. Matrices are row-major
/// without gaps. Numbers that change from iteration to iteration are read from the device's memory.
#include <cmath>
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/core/id.hpp"
#include "shunt/device/window_choice.hpp"

namespace example {

/// A gradient that is made not a number: of one micro-batch, counted over all pipelines, at one
/// stage.
struct bad_gradient {
  shunt::stage_id stage{};
  std::int64_t iteration = 0;
  std::int64_t microbatch = 0;
  bool operator==(bad_gradient const&) const = default;
};

/// The windows of a micro-batch: where the sample of every row starts in the text.
struct text_windows {
  std::uint8_t const* text = nullptr;
  std::int64_t const* starts = nullptr;

  SHUNT_HD std::uint8_t byte(std::int64_t row, std::int64_t at) const {
    return text[starts[row] + at];
  }
};

/// An item is a row.
struct choose_windows {
  shunt::window_choice choice{};
  std::int64_t const* iteration = nullptr;
  std::int64_t microbatch = 0;  ///< counted over all pipelines
  std::int64_t* starts = nullptr;

  SHUNT_HD void operator()(std::int64_t row) const {
    starts[row] = static_cast<std::int64_t>(choice(*iteration, microbatch, row));
  }
};

/// The embeddings of a window's bytes, joined. An item is an element of batch x (context *
/// embedding).
struct embed_windows {
  text_windows windows{};
  float const* table = nullptr;
  std::int64_t context = 0, embedding = 0;
  float* embedded = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const place = i / embedding;
    embedded[i] = table[windows.byte(place / context, place % context) * embedding + i % embedding];
  }
};

/// What is done with a product on its way to its place: + bias of the column, + what else is added,
/// then nothing below 0; or 0 where the mask isn't above 0. Null pointers: not wanted. An item is
/// an element.
struct store_product {
  float const* product = nullptr;
  float* to = nullptr;
  std::int64_t columns = 1;
  float const* bias = nullptr;
  float const* addend = nullptr;
  float const* mask = nullptr;
  bool relu = false;

  SHUNT_HD void operator()(std::int64_t i) const {
    float value = product[i];
    if (bias != nullptr) value += bias[i % columns];
    if (addend != nullptr) value += addend[i];
    if (relu && value < 0) value = 0;
    if (mask != nullptr && !(mask[i] > 0)) value = 0;
    to[i] = value;
  }
};

/// Cross-entropy of the next byte: the loss of a row, in nats, and the gradient of the
/// micro-batch's mean loss. An item is a row, which one thread reads from left to right.
struct predict_bytes {
  static constexpr std::int64_t bytes = 256;
  text_windows windows{};
  std::int64_t context = 0, batch = 0;
  float const* product = nullptr;  ///< batch x bytes: logits without their bias
  float const* bias = nullptr;
  float* slope = nullptr;    ///< batch x bytes
  double* losses = nullptr;  ///< of rows

  SHUNT_HD void operator()(std::int64_t row) const {
    float const* const from = product + row * bytes;
    float* const to = slope + row * bytes;
    auto const target = windows.byte(row, context);
    float largest = from[0] + bias[0];
    for (std::int64_t b = 0; b < bytes; ++b) {
      to[b] = from[b] + bias[b];
      if (largest < to[b]) largest = to[b];
    }
    float const of_target = to[target] - largest;
    float sum = 0;
    for (std::int64_t b = 0; b < bytes; ++b) {
      to[b] = std::exp(to[b] - largest);
      sum += to[b];
    }
    for (std::int64_t b = 0; b < bytes; ++b) to[b] /= sum * static_cast<float>(batch);
    to[target] -= 1 / static_cast<float>(batch);
    losses[row] = std::log(static_cast<double>(sum)) - static_cast<double>(of_target);
  }
};

/// The mean of the rows' losses. One item.
struct mean_loss {
  double const* rows = nullptr;
  std::int64_t batch = 0;
  double* loss = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    double sum = 0;
    for (std::int64_t row = 0; row < batch; ++row) sum += rows[row];
    *loss = sum / static_cast<double>(batch);
  }
};

/// Makes a gradient not a number where it was asked for. One item.
struct inject_bad_gradient {
  bad_gradient const* bad = nullptr;
  std::int64_t count = 0;
  shunt::stage_id stage{};
  std::int64_t const* iteration = nullptr;
  std::int64_t microbatch = 0;
  float* gradient = nullptr;

  SHUNT_HD void operator()(std::int64_t) const {
    for (std::int64_t n = 0; n < count; ++n)
      if (bad[n].stage == stage && bad[n].iteration == *iteration &&
          bad[n].microbatch == microbatch)
        gradient[0] = NAN;
  }
};

/// The gradient of a bias. An item is a column.
struct sum_columns {
  float const* matrix = nullptr;
  std::int64_t rows = 0, columns = 0;
  float* sums = nullptr;

  SHUNT_HD void operator()(std::int64_t column) const {
    float sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) sum += matrix[row * columns + column];
    sums[column] = sum;
  }
};

/// The gradient of the embedding: an item is an element of bytes x embedding, which looks for its
/// byte in all windows.
struct sum_embeddings {
  text_windows windows{};
  float const* slope = nullptr;  ///< batch x (context * embedding)
  std::int64_t batch = 0, context = 0, embedding = 0;
  float* table = nullptr;

  SHUNT_HD void operator()(std::int64_t i) const {
    std::int64_t const byte = i / embedding, column = i % embedding;
    float sum = 0;
    for (std::int64_t row = 0; row < batch; ++row)
      for (std::int64_t at = 0; at < context; ++at)
        if (windows.byte(row, at) == byte) sum += slope[(row * context + at) * embedding + column];
    table[i] = sum;
  }
};

}  // namespace example
