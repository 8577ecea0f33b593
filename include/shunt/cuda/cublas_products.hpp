#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "shunt/cuda/error.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/device/product_shape.hpp"

namespace shunt {

/// A call of cuBLASLt that failed. `what()` is one line: the call, the name and description of its
/// status, and file:line of the caller.
class cublas_error : public std::runtime_error {
 public:
  cublas_error(cublasStatus_t status, std::string const& call, std::source_location const& where)
      : std::runtime_error(call + ": " + cublasLtGetStatusName(status) + ", " +
                           cublasLtGetStatusString(status) + " (" + where.file_name() + ":" +
                           std::to_string(where.line()) + ")"),
        status_(status) {}
  [[nodiscard]] cublasStatus_t status() const noexcept { return status_; }

 private:
  cublasStatus_t status_;
};

/// Throws cublas_error unless the call was a success.
inline void cublas_check(cublasStatus_t status, std::string const& call,
                         std::source_location const& where = std::source_location::current()) {
  if (status != CUBLAS_STATUS_SUCCESS) throw cublas_error(status, call, where);
}

/// Owns a handle of cuBLASLt.
template <class Handle, cublasStatus_t (*Destroy)(Handle)>
struct destroy_with {
  void operator()(std::remove_pointer_t<Handle>* h) const noexcept { (void)Destroy(h); }
};
template <class Handle, cublasStatus_t (*Destroy)(Handle)>
using cublas_owner = std::unique_ptr<std::remove_pointer_t<Handle>, destroy_with<Handle, Destroy>>;

/// Matrix products on streams by cuBLASLt, of float and double, that give the same bits whenever
/// and on whichever stream they run: `multiply(stream, {.rows = 32, .inner = 64, .columns = 128},
/// a, b, c)` enqueues c = a b, row-major, of memory of the device that was current when `multiply`
/// was made. Requires that one thread calls it, and CUDA::cublasLt.
///
/// Every (type, shape) has one algorithm, chosen once: the first that the heuristics offer without
/// split-K and reduction, in plain float or double arithmetic (no TF32), for operands at multiples
/// of 16 bytes, and without a workspace, so that streams share nothing. A product waits for
/// nothing, allocates nothing on the device and may be captured into a graph. An empty sum (inner =
/// 0) is zeros. Throws cublas_error where cuBLASLt refuses, invalid_argument where an operand is at
/// no multiple of 16 bytes.
class cublas_products {
 public:
  cublas_products() {
    cublasLtHandle_t made = nullptr;
    cublas_check(cublasLtCreate(&made), "cublasLtCreate");
    handle_.reset(made);
  }

  template <class T>
  void operator()(cuda_stream_ref on, product_shape const& s, T const* a, T const* b, T* c) {
    if (s.rows == 0 || s.columns == 0) return;
    if (s.inner == 0) {
      auto const bytes = static_cast<std::size_t>(s.rows * s.columns) * sizeof(T);
      return cuda_check(cudaMemsetAsync(c, 0, bytes, on), "cudaMemsetAsync");
    }
    for (void const* at :
         {static_cast<void const*>(a), static_cast<void const*>(b), static_cast<void const*>(c)})
      if (reinterpret_cast<std::uintptr_t>(at) % alignment != 0)
        throw std::invalid_argument("an operand of a product of " + words<T>(s) +
                                    " is not at a multiple of 16 bytes");
    plan const& p = plan_for<T>(s);
    T const one = 1, zero = 0;
    // Row-major C = A B is column-major C^T = B^T A^T: the operands change places and nothing
    // moves.
    cublas_check(cublasLtMatmul(handle_.get(), p.what.get(), &one, b, p.first.get(), a,
                                p.second.get(), &zero, c, p.result.get(), c, p.result.get(),
                                &p.algorithm, nullptr, 0, on),
                 "cublasLtMatmul of " + words<T>(s));
  }

 private:
  static constexpr std::uint32_t alignment = 16;

  using layout = cublas_owner<cublasLtMatrixLayout_t, &cublasLtMatrixLayoutDestroy>;
  struct plan {
    cublas_owner<cublasLtMatmulDesc_t, &cublasLtMatmulDescDestroy> what{};
    layout first{}, second{}, result{};
    cublasLtMatmulAlgo_t algorithm{};
  };

  template <class T>
  static constexpr bool is_double = std::is_same_v<T, double>;
  template <class T>
  static constexpr cudaDataType_t type_of = is_double<T> ? CUDA_R_64F : CUDA_R_32F;

  template <class T>
  [[nodiscard]] static std::string words(product_shape const& s) {
    return std::string(is_double<T> ? "double " : "float ") + std::to_string(s.rows) + " x " +
           std::to_string(s.inner) + " x " + std::to_string(s.columns) +
           (s.transpose_a ? ", A transposed" : "") + (s.transpose_b ? ", B transposed" : "");
  }

  template <class T>
  [[nodiscard]] plan const& plan_for(product_shape const& s) {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    auto const key = std::pair(is_double<T>, s);
    auto at = plans_.find(key);
    if (at == plans_.end()) at = plans_.emplace(key, chosen<T>(s)).first;
    return at->second;
  }

  /// A row-major matrix of rows x columns: a column-major one of columns x rows.
  template <class T>
  [[nodiscard]] static layout layout_of(std::int64_t rows, std::int64_t columns) {
    cublasLtMatrixLayout_t made = nullptr;
    cublas_check(cublasLtMatrixLayoutCreate(&made, type_of<T>, static_cast<std::uint64_t>(columns),
                                            static_cast<std::uint64_t>(rows), columns),
                 "cublasLtMatrixLayoutCreate");
    return layout(made);
  }

  template <class T>
  [[nodiscard]] plan chosen(product_shape const& s) const {
    plan p;
    cublasLtMatmulDesc_t what = nullptr;
    cublas_check(cublasLtMatmulDescCreate(
                     &what, is_double<T> ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, type_of<T>),
                 "cublasLtMatmulDescCreate");
    p.what.reset(what);
    auto const transpose = [&](cublasLtMatmulDescAttributes_t which, bool transposed) {
      cublasOperation_t const how = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
      cublas_check(cublasLtMatmulDescSetAttribute(what, which, &how, sizeof how),
                   "cublasLtMatmulDescSetAttribute");
    };
    transpose(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b);
    transpose(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a);
    p.first = s.transpose_b ? layout_of<T>(s.columns, s.inner) : layout_of<T>(s.inner, s.columns);
    p.second = s.transpose_a ? layout_of<T>(s.inner, s.rows) : layout_of<T>(s.rows, s.inner);
    p.result = layout_of<T>(s.rows, s.columns);

    cublasLtMatmulPreference_t made = nullptr;
    cublas_check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    cublas_owner<cublasLtMatmulPreference_t, &cublasLtMatmulPreferenceDestroy> const wanted(made);
    auto const want = [&](cublasLtMatmulPreferenceAttributes_t which, auto value) {
      cublas_check(cublasLtMatmulPreferenceSetAttribute(made, which, &value, sizeof value),
                   "cublasLtMatmulPreferenceSetAttribute");
    };
    want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{0});
    want(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    for (auto const operand :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      want(operand, alignment);

    std::array<cublasLtMatmulHeuristicResult_t, 16> offers{};
    int count = 0;
    cublas_check(cublasLtMatmulAlgoGetHeuristic(
                     handle_.get(), what, p.first.get(), p.second.get(), p.result.get(),
                     p.result.get(), made, static_cast<int>(offers.size()), offers.data(), &count),
                 "cublasLtMatmulAlgoGetHeuristic for " + words<T>(s));
    for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k)
      if (offers[k].state == CUBLAS_STATUS_SUCCESS && offers[k].workspaceSize == 0 &&
          sums_in_one_go(offers[k].algo)) {
        p.algorithm = offers[k].algo;
        return p;
      }
    throw cublas_error(CUBLAS_STATUS_NOT_SUPPORTED,
                       "no algorithm without split-K and workspace for " + words<T>(s),
                       std::source_location::current());
  }

  [[nodiscard]] static bool sums_in_one_go(cublasLtMatmulAlgo_t const& algorithm) {
    std::int32_t splits = 0;
    std::uint32_t scheme = 0;
    auto const get = [&](cublasLtMatmulAlgoConfigAttributes_t which, auto& value) {
      std::size_t written = 0;
      cublas_check(
          cublasLtMatmulAlgoConfigGetAttribute(&algorithm, which, &value, sizeof value, &written),
          "cublasLtMatmulAlgoConfigGetAttribute");
    };
    get(CUBLASLT_ALGO_CONFIG_SPLITK_NUM, splits);
    get(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, scheme);
    return (splits == 0 || splits == 1) && scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
  }

  cublas_owner<cublasLtHandle_t, &cublasLtDestroy> handle_{};
  std::map<std::pair<bool, product_shape>, plan> plans_{};
};

}  // namespace shunt
