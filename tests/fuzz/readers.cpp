// Every reader takes any text: it returns a value, or throws invalid_problem with one line.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "bytes.hpp"
#include "shunt/core/error.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/failure_csv.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/json/experts.hpp"
#include "shunt/json/physical_map.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/json/solution.hpp"
#include "shunt/problem/failure_trace.hpp"

namespace {

using namespace shunt;

/// What was read is written and read again as the same value.
template <class T>
void json(std::string const& text) {
  std::istringstream in(text);
  auto const value = read_json<T>(in);
  nlohmann::json const written = value;
  std::istringstream again(written.dump());
  tests::fuzz::require(read_json<T>(again) == value, "JSON reads as written", written.dump());
}

void read(int kind, std::string const& text) {
  std::istringstream in(text);
  switch (kind) {
    case 0: {
      auto const table = read_csv(in, "t");
      std::ostringstream written;
      write_csv(written, table);
      std::istringstream again(written.str());
      tests::fuzz::require(read_csv(again, "t") == table, "CSV reads as written");
      break;
    }
    case 1: (void)read_pytorch_csv(in, "t", pytorch_form::compute_only); break;
    case 2: (void)read_pytorch_csv(in, "t", pytorch_form::with_comms); break;
    case 3: (void)parse_pytorch_cell(text, "t"); break;
    case 4: json<pipeline_job>(text); break;
    case 5: json<pipeline_schedule>(text); break;
    case 6: json<timetable>(text); break;
    case 7: json<expert_layers>(text); break;
    case 8: json<expert_placement>(text); break;
    case 9: json<physical_map>(text); break;
    case 10: json<shard_map>(text); break;
    case 11: json<token_split>(text); break;
    case 12: json<layer_slots>(text); break;
    case 13: json<optimizer_state>(text); break;
    case 14: json<program>(text); break;
    case 15:
      (void)[&] {
        std::istringstream t(text);
        (void)read_json<timeline>(t);
      }
      ();
      break;
    case 16: json<solution<pipeline_schedule>>(text); break;
    default: validate(read_failure_csv(in, "t")); break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  tests::fuzz::bytes in(data, size);
  int const kind = in.roll(0, 17);
  try {
    read(kind, in.text());
  } catch (invalid_problem const& e) {
    tests::fuzz::require(std::string(e.what()).find('\n') == std::string::npos,
                         "a refusal is one line", e.what());
  }
  return 0;
}
