#pragma once
/// A text to train on: plain bytes, and the rule that says which of them a micro-batch sees.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "shunt/device/window_choice.hpp"

namespace shunt {

using text_bytes = std::vector<std::uint8_t>;

/// The windows of a text that an iteration sees, wherever and however often they are asked for.
class text_sampler {
 public:
  /// `window`: context and target, in bytes.
  /// Throws invalid_problem, which names `text`, where the text is shorter.
  /// Requires that `bytes` lives longer.
  text_sampler(text_bytes const& bytes, std::size_t window, std::uint64_t seed);

  [[nodiscard]] text_bytes const& bytes() const { return *bytes_; }
  [[nodiscard]] window_choice const& choice() const { return choice_; }
  /// Returns the first byte of a window of the text.
  [[nodiscard]] std::uint8_t const* operator()(std::int64_t iteration, std::int64_t microbatch,
                                               std::int64_t sample) const {
    return bytes_->data() + choice_(iteration, microbatch, sample);
  }

 private:
  text_bytes const* bytes_;
  window_choice choice_;
};

/// Returns all bytes of a file.
/// Throws invalid_problem, which names `text` and the file, where it cannot be read or is empty.
[[nodiscard]] text_bytes read_text(std::string const& file);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/train/text_sampler.ipp"
#endif
