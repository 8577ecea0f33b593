// --engine cuda, where there is no CUDA.
#include "../engines.hpp"
#include "shunt/core/error.hpp"

namespace example {

int train_on_cuda(options const&) {
  throw shunt::invalid_problem("engine", "this build has no CUDA");
}

}  // namespace example
