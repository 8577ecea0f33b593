#pragma once
/// A CUDA graph that can be launched, updated in place where possible.
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/event.hpp"
#include "shunt/cuda/stream.hpp"

namespace shunt {

/// An executable graph; empty at construction.
class cuda_graph {
 public:
  /// Host functions that a graph calls. They live as long as the graph may call them.
  using calls = std::vector<std::shared_ptr<std::function<void()>>>;
  enum class change { made, updated, remade };

  [[nodiscard]] explicit operator bool() const { return exec_ != nullptr; }

  /// Replaces what is launched from now on by a captured graph. A graph of the same shape only
  /// exchanges parameters (cudaGraphExecUpdate). Launches in progress are not affected.
  /// Returns how the graph was obtained.
  /// Throws cuda_error.
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
    // Launches in progress may still call earlier functions.
    if (launched_ && cuda_event_ref(*launched_).done()) called_.clear();
    called_.insert(called_.end(), called.begin(), called.end());
    return how;
  }

  /// Enqueues one launch.
  /// Throws cuda_error, also where the graph is empty.
  void launch(cuda_stream_ref on) {
    cuda_check(cudaGraphLaunch(exec_.get(), on), "cudaGraphLaunch");
    if (called_.empty()) return;
    if (!launched_) launched_.emplace(cuda_event::kind::ordering);
    cuda_event_ref(*launched_).record(on);
  }

 private:
  struct destroy {
    void operator()(cudaGraphExec_t g) const noexcept { (void)cudaGraphExecDestroy(g); }
  };
  calls called_{};
  std::optional<cuda_event> launched_{};  // the last launch, of a graph that calls functions
  std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, destroy> exec_{};
};

}  // namespace shunt
