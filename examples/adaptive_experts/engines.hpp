#pragma once
/// The engines of this program that not every build has.
#include <string>

#include "options.hpp"
#include "policy_training.hpp"
#include "process_options.hpp"
#include "text.hpp"

namespace example {

/// Trains with worker processes over Gloo: of a launcher, where the environment names one, or of
/// this program's own. The exit status. Throws invalid_problem where this build has no Gloo.
int train_with_processes(options const& o, command_line const& started_as);
/// One worker of a run that another process of this program started; the exit status.
int work_for_others(options const& o, worker_order const& order);

/// Trains under a policy on the streams of a GPU, all ranks on one, or with a graph for each
/// program (engine cuda-graphs). Throws invalid_problem where this build has no CUDA or the machine
/// no GPU that can be used.
policy_run train_on_gpu(options const& o, std::string const& name, text_bytes const& text,
                        std::vector<shunt::failure_point> const& failures, listener const& say);

#ifdef SHUNT_WITHOUT_GLOO
inline int train_with_processes(options const&, command_line const&) {
  refuse_engine("--engine", "Gloo");
}
inline int work_for_others(options const&, worker_order const&) {
  refuse_engine("--engine", "Gloo");
}
#endif
#ifdef SHUNT_WITHOUT_CUDA
inline policy_run train_on_gpu(options const&, std::string const&, text_bytes const&,
                               std::vector<shunt::failure_point> const&, listener const&) {
  refuse_engine("engine", "CUDA");
}
#endif

}  // namespace example
