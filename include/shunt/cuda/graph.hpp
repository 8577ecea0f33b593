#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// A graph that can be launched, or nothing yet.
class cuda_graph {
 public:
  /// Functions of the host that a graph calls; they must live as long as it may.
  using calls = std::vector<std::shared_ptr<std::function<void()>>>;
  enum class change { made, updated, remade };

  [[nodiscard]] explicit operator bool() const { return exec_ != nullptr; }

  /// What is launched from now on: what was captured, in place of what was there. Where the shape
  /// is the same only its parameters are exchanged (cudaGraphExecUpdate). Launches under way stay
  /// as they are. Throws cuda_error.
  change take(cudaGraph_t captured, calls called = {}) {
    change how = change::made;
    if (exec_) {
      cudaGraphExecUpdateResultInfo info{};
      auto const code = cudaGraphExecUpdate(exec_.get(), captured, &info);
      if (code == cudaSuccess) {
        how = change::updated;
      } else if (code == cudaErrorGraphExecUpdateFailure) {
        (void)cudaGetLastError();
        how = change::remade;
      } else {
        cuda_check(code, "cudaGraphExecUpdate");
      }
    }
    if (how != change::updated) {
      cudaGraphExec_t made = nullptr;
      cuda_check(cudaGraphInstantiate(&made, captured, 0), "cudaGraphInstantiate");
      exec_.reset(made);
    }
    called_.insert(called_.end(), called.begin(),
                   called.end());  // earlier ones may still be called by launches under way
    return how;
  }

  /// Throws cuda_error, also where there is nothing to launch.
  void launch(cuda_stream_ref on) const {
    cuda_check(cudaGraphLaunch(exec_.get(), on), "cudaGraphLaunch");
  }

 private:
  struct destroy {
    void operator()(cudaGraphExec_t g) const noexcept { (void)cudaGraphExecDestroy(g); }
  };
  calls called_{};
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, destroy> exec_{};
};

}  // namespace shunt
