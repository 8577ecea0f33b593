#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "cli.hpp"
#include "window_choice.hpp"

namespace example {

/// The text that the example programs train on: plain bytes, and a rule that says which of them a
/// micro-batch sees.
using text_bytes = std::vector<std::uint8_t>;

/// The windows of a text that an iteration sees, wherever and however often they are asked for.
class sampler {
 public:
  /// `window` = context and target in bytes. Throws invalid_problem where the text is shorter.
  sampler(text_bytes const& bytes, std::size_t window, std::uint64_t seed)
      : bytes_(&bytes), choice_{seed, bytes.size() - window + 1} {
    refuse_if(bytes.size() < window, "text",
              "has " + std::to_string(bytes.size()) + " bytes, a sample needs " +
                  std::to_string(window));
  }

  text_bytes const& bytes() const { return *bytes_; }
  window_choice const& choice() const { return choice_; }
  /// The first byte of a window of the text.
  std::uint8_t const* operator()(std::int64_t iteration, std::int64_t microbatch,
                                 std::int64_t sample) const {
    return bytes_->data() + choice_(iteration, microbatch, sample);
  }

 private:
  text_bytes const* bytes_;
  window_choice choice_;
};

/// All bytes of a file. Throws invalid_problem, naming the file, where it can't be read or is
/// empty.
inline text_bytes read_text(std::filesystem::path const& file) {
  std::error_code failed;
  refuse_if(!std::filesystem::exists(file, failed), "text", "no file " + file.string());
  refuse_if(std::filesystem::is_directory(file, failed), "text", file.string() + " is a directory");
  std::ifstream in(file, std::ios::binary);
  refuse_if(!in, "text", "cannot read " + file.string());
  text_bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  refuse_if(bytes.empty(), "text", file.string() + " is empty");
  return bytes;
}

/// The text of `--text FILE`. Where no file is named, 128 KiB of plays of Shakespeare's that the
/// project keeps.
inline text_bytes load_text(std::string const& file) {
  return read_text(file.empty() ? SHUNT_REPOSITORY "/tests/data/text/tiny_shakespeare.txt" : file);
}

}  // namespace example
