#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "shunt/core/error.hpp"
#include "window_choice.hpp"

namespace example {

/// The text that the example programs train on: plain bytes, and a rule that says which of them a
/// micro-batch sees.
using text_bytes = std::vector<std::uint8_t>;

/// All bytes of a file. Throws invalid_problem, naming the file, where it can't be read or is
/// empty.
inline text_bytes read_text(std::filesystem::path const& file) {
  std::error_code failed;
  if (!std::filesystem::exists(file, failed))
    throw shunt::invalid_problem("text", "no file " + file.string());
  if (std::filesystem::is_directory(file, failed))
    throw shunt::invalid_problem("text", file.string() + " is a directory");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw shunt::invalid_problem("text", "cannot read " + file.string());
  text_bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (bytes.empty()) throw shunt::invalid_problem("text", file.string() + " is empty");
  return bytes;
}

/// The headers and pages of a source tree, one after the other, sorted by path.
inline text_bytes read_sources(std::filesystem::path const& root) {
  std::vector<std::filesystem::path> files;
  for (auto const* part : {"include", "docs", "README.md"}) {
    auto const at = root / part;
    std::error_code failed;
    if (std::filesystem::is_regular_file(at, failed)) files.push_back(at);
    if (!std::filesystem::is_directory(at, failed)) continue;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(at)) {
      auto const kind = entry.path().extension();
      if (entry.is_regular_file() && (kind == ".hpp" || kind == ".cuh" || kind == ".md"))
        files.push_back(entry.path());
    }
  }
  if (files.empty())
    throw shunt::invalid_problem("text", "no headers or pages under " + root.string());
  std::sort(files.begin(), files.end());
  text_bytes all;
  for (auto const& file : files) {
    auto const bytes = read_text(file);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// The text of `--text FILE`, or this project's own sources where no file is named.
inline text_bytes load_text(std::string const& file) {
  return file.empty() ? read_sources(SHUNT_REPOSITORY) : read_text(file);
}

/// The windows of a text that an iteration sees, wherever and however often they are asked for.
class sampler {
 public:
  /// `window` = context and target in bytes. Throws invalid_problem where the text is shorter.
  sampler(text_bytes const& bytes, std::size_t window, std::uint64_t seed)
      : bytes_(&bytes), choice_{seed, bytes.size() - window + 1} {
    if (bytes.size() < window)
      throw shunt::invalid_problem("text", "has " + std::to_string(bytes.size()) +
                                               " bytes, a sample needs " + std::to_string(window));
  }

  [[nodiscard]] text_bytes const& bytes() const { return *bytes_; }
  [[nodiscard]] window_choice const& choice() const { return choice_; }
  /// The first byte of a window of the text.
  [[nodiscard]] std::uint8_t const* operator()(std::int64_t iteration, std::int64_t microbatch,
                                               std::int64_t sample) const {
    return bytes_->data() + choice_(iteration, microbatch, sample);
  }

 private:
  text_bytes const* bytes_;
  window_choice choice_;
};

}  // namespace example
