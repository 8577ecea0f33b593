#pragma once
/// NCCL itself: forwards the functions of `nccl_library`. The only header of this room that
/// includes nccl.h.
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "shunt/nccl/library.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Returns NCCL's name of an element type. `element::bytes` is added as unsigned.
[[nodiscard]] constexpr ncclDataType_t nccl_type(element e) {
  switch (e) {
    case element::bytes: return ncclUint8;
    case element::int32: return ncclInt32;
    case element::int64: return ncclInt64;
    case element::float32: return ncclFloat32;
    case element::float64: return ncclFloat64;
    case element::bfloat16: return ncclBfloat16;
    case element::float16: return ncclFloat16;
  }
  return ncclUint8;
}
[[nodiscard]] constexpr ncclRedOp_t nccl_operation(reduction r) {
  return r == reduction::sum ? ncclSum : ncclMax;
}

static_assert(static_cast<int>(nccl_status::success) == ncclSuccess &&
              static_cast<int>(nccl_status::invalid_usage) == ncclInvalidUsage &&
              static_cast<int>(nccl_status::remote_error) == ncclRemoteError &&
              static_cast<int>(nccl_status::in_progress) == ncclInProgress);

/// Returns a unique name of the calling thread's device: the boot id of the machine and the
/// device's bus id. `meet` compares these names before NCCL reports two ranks on one device.
/// Throws nccl_error where there is no device.
[[nodiscard]] inline std::string nccl_device_name() {
  int device = 0;
  char bus[32] = {};
  auto failed = cudaGetDevice(&device);
  if (failed == cudaSuccess) failed = cudaDeviceGetPCIBusId(bus, sizeof bus, device);
  if (failed != cudaSuccess)
    throw nccl_error(std::string("no device: ") + cudaGetErrorString(failed),
                     nccl_status::cuda_error);
  std::string machine;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> machine;
  return machine + " " + bus;
}

struct nccl_api {
  using communicator = ncclComm_t;
  using stream = cudaStream_t;
  using identity = ncclUniqueId;

  /// Without ncclCommShrink the surviving ranks abort and make a new communicator.
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 3)
  static constexpr bool has_shrink = true;
#else
  static constexpr bool has_shrink = false;
#endif

  [[nodiscard]] static identity new_identity() {
    identity id{};
    if (auto const s = of(ncclGetUniqueId(&id)); s != nccl_status::success)
      throw nccl_error("no identity for a communicator: " + last_error({}), s);
    return id;
  }
  static nccl_status init(communicator& made, int size, identity const& id, int rank, int blocks) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    if (blocks > 0) config.maxCTAs = blocks;
    return of(ncclCommInitRankConfig(&made, size, id, rank, &config));
  }
  /// The new communicator inherits the parent's configuration and shares no resources with it, so
  /// both run concurrently.
  static nccl_status split(communicator parent, int colour, int order, communicator& made) {
    return of(
        ncclCommSplit(parent, colour < 0 ? NCCL_SPLIT_NOCOLOR : colour, order, &made, nullptr));
  }
  static nccl_status shrink(communicator parent, std::span<int const> left_out,
                            communicator& made) {
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 27, 3)
    std::vector<int> ranks(left_out.begin(), left_out.end());
    return of(ncclCommShrink(parent, ranks.data(), static_cast<int>(ranks.size()), &made, nullptr,
                             NCCL_SHRINK_ABORT));
#else
    (void)parent, (void)left_out, (void)made;
    return nccl_status::invalid_usage;
#endif
  }
  static nccl_status finalize(communicator c) { return of(ncclCommFinalize(c)); }
  static nccl_status destroy(communicator c) { return of(ncclCommDestroy(c)); }
  static nccl_status abort(communicator c) { return of(ncclCommAbort(c)); }
  static nccl_status state(communicator c) {
    ncclResult_t s = ncclSuccess;
    auto const asked = ncclCommGetAsyncError(c, &s);
    return of(asked == ncclSuccess ? s : asked);
  }
  static std::string last_error(communicator c) { return ncclGetLastError(c); }

  [[nodiscard]] static void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    if (auto const s = of(ncclMemAlloc(&memory, bytes)); s != nccl_status::success)
      throw nccl_error("no " + std::to_string(bytes) + " bytes of device memory: " + last_error({}),
                       s);
    return memory;
  }
  static void deallocate(void* memory) {
    // What was aborted may still use it: NCCL ends that on a thread of its own.
    (void)cudaDeviceSynchronize();
    (void)ncclMemFree(memory);
  }

  static nccl_status group_start() { return of(ncclGroupStart()); }
  static nccl_status group_end() { return of(ncclGroupEnd()); }
  static nccl_status send(void const* from, std::size_t count, element type, int peer,
                          communicator c, stream s) {
    return of(ncclSend(from, count, nccl_type(type), peer, c, s));
  }
  static nccl_status receive(void* to, std::size_t count, element type, int peer, communicator c,
                             stream s) {
    return of(ncclRecv(to, count, nccl_type(type), peer, c, s));
  }
  static nccl_status all_reduce(void const* from, void* to, std::size_t count, element type,
                                reduction how, communicator c, stream s) {
    return of(ncclAllReduce(from, to, count, nccl_type(type), nccl_operation(how), c, s));
  }
  static nccl_status reduce_scatter(void const* from, void* to, std::size_t count, element type,
                                    reduction how, communicator c, stream s) {
    return of(ncclReduceScatter(from, to, count, nccl_type(type), nccl_operation(how), c, s));
  }
  static nccl_status all_gather(void const* from, void* to, std::size_t count, element type,
                                communicator c, stream s) {
    return of(ncclAllGather(from, to, count, nccl_type(type), c, s));
  }

 private:
  static nccl_status of(ncclResult_t r) { return static_cast<nccl_status>(r); }
};
static_assert(nccl_library<nccl_api>);

}  // namespace shunt
