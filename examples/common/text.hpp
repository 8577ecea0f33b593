#pragma once
#include <string>

#include "shunt/train/text_sampler.hpp"

namespace example {

using shunt::text_bytes, shunt::text_sampler;

/// The text of `--text FILE`. Where no file is named, 128 KiB of plays of Shakespeare's that the
/// project keeps.
inline text_bytes load_text(std::string const& file) {
  return shunt::read_text(file.empty() ? SHUNT_REPOSITORY "/tests/data/text/tiny_shakespeare.txt"
                                       : file);
}

}  // namespace example
