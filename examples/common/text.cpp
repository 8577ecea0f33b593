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

text_bytes load_text(std::string const& file) {
  return read_text(file.empty() ? SHUNT_REPOSITORY "/tests/data/text/tiny_shakespeare.txt" : file);
}

}  // namespace example
