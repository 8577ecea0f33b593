// --engine cuda, where there is no CUDA.
#include "../engines.hpp"
#include "shunt/core/error.hpp"

namespace example {

policy_run train_on_gpu(options const&, std::string const&, text_bytes const&,
                        std::vector<shunt::failure_point> const&, listener const&) {
  throw shunt::invalid_problem("engine", "this build has no CUDA");
}

}  // namespace example
