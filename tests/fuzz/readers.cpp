// Every reader takes any text: it returns a value, or throws invalid_problem with one line.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz/bytes.hpp"
#include "fuzz/read.hpp"
#include "shunt/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  using namespace shunt::tests::fuzz;
  bytes in(data, size);
  int const kind = in.roll(0, kinds - 1);
  try {
    read(kind, in.text());
  } catch (shunt::invalid_problem const& e) {
    require(std::string(e.what()).find('\n') == std::string::npos, "a refusal is one line",
            e.what());
  }
  return 0;
}
