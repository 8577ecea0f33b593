// --engine gloo, where there is no Gloo.
#include "../engines.hpp"
#include "shunt/core/error.hpp"

namespace example {
namespace {
[[noreturn]] void refuse() { throw shunt::invalid_problem("--engine", "this build has no Gloo"); }
}  // namespace

int train_with_processes(options const&, command_line const&) { refuse(); }
int work_for_others(options const&, worker_order const&) { refuse(); }

}  // namespace example
