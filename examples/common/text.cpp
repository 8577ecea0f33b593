#include "text.hpp"

namespace example {

text_bytes read_text(std::filesystem::path const& file) {
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

text_bytes read_sources(std::filesystem::path const& root) {
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

text_bytes load_text(std::string const& file) {
  return file.empty() ? read_sources(SHUNT_REPOSITORY) : read_text(file);
}

}  // namespace example
