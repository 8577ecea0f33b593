#pragma once
#include "shunt/train/text_sampler.hpp"

#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE text_sampler::text_sampler(text_bytes const& bytes, std::size_t window,
                                        std::uint64_t seed)
    : bytes_(&bytes), choice_{seed, bytes.size() - window + 1} {
  if (bytes.size() < window)
    throw invalid_problem("text", "has " + std::to_string(bytes.size()) +
                                      " bytes, a sample needs " + std::to_string(window));
}

SHUNT_INLINE text_bytes read_text(std::string const& file) {
  auto const refuse_if = [](bool wrong, std::string const& why) {
    if (wrong) throw invalid_problem("text", why);
  };
  std::error_code failed;
  refuse_if(!std::filesystem::exists(file, failed), "no file " + file);
  refuse_if(std::filesystem::is_directory(file, failed), file + " is a directory");
  std::ifstream in(file, std::ios::binary);
  refuse_if(!in, "cannot read " + file);
  text_bytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  refuse_if(bytes.empty(), file + " is empty");
  return bytes;
}

}  // namespace shunt
