#pragma once
/// The engines of this program that not every build has.
#include "options.hpp"
#include "process_options.hpp"

namespace example {

/// Trains with worker processes over Gloo: of a launcher, where the environment names one, or of
/// this program's own. The exit status. Throws invalid_problem where this build has no Gloo.
int train_with_processes(options const& o, command_line const& started_as);
/// Many runs, in each of which other workers are killed; the exit status.
int sweep_with_processes(options const& o, command_line const& started_as);
/// One worker of a run that another process of this program started; the exit status.
int work_for_others(options const& o, worker_order const& order);

/// Trains on the streams of one GPU; the exit status. Throws invalid_problem where this build has
/// no CUDA or this machine no GPU.
int train_on_cuda(options const& o);

#ifdef SHUNT_WITHOUT_GLOO
inline int train_with_processes(options const&, command_line const&) {
  refuse_engine("engine", "Gloo");
}
inline int sweep_with_processes(options const&, command_line const&) {
  refuse_engine("engine", "Gloo");
}
inline int work_for_others(options const&, worker_order const&) { refuse_engine("engine", "Gloo"); }
#endif
#ifdef SHUNT_WITHOUT_CUDA
inline int train_on_cuda(options const&) { refuse_engine("engine", "CUDA"); }
#endif

}  // namespace example
