#pragma once
/// The functions of NCCL that this room uses, as static functions of a type. `nccl_api` forwards
/// them to NCCL; a test double keeps NCCL's rules, so order and grouping are tested without a GPU.
/// Nothing here includes a vendor's header. See docs/device-code.md for NCCL's rules of order.
/// Reference: NCCL 2.28 user guide, "Group calls", "Point-to-point communication", "Creating a
/// communicator", "Fault tolerance".
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "shunt/core/error.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

/// Values of ncclResult_t, with its numbers.
enum class nccl_status : std::uint8_t {
  success,
  cuda_error,
  system_error,
  internal_error,
  invalid_argument,
  invalid_usage,
  remote_error,
  in_progress,
};

[[nodiscard]] constexpr std::string_view to_string(nccl_status s) {
  switch (s) {
    case nccl_status::success: return "success";
    case nccl_status::cuda_error: return "CUDA error";
    case nccl_status::system_error: return "system error";
    case nccl_status::internal_error: return "internal error";
    case nccl_status::invalid_argument: return "invalid argument";
    case nccl_status::invalid_usage: return "invalid usage";
    case nccl_status::remote_error: return "remote error";
    case nccl_status::in_progress: return "in progress";
  }
  return "unknown";
}

/// NCCL refused an operation or did not complete it in time. `what()` names the rank, the operation
/// and the reason.
class nccl_error : public std::runtime_error {
 public:
  nccl_error(std::string const& what, nccl_status status)
      : std::runtime_error(what), status_(status) {}
  /// Returns NCCL's status; in_progress after a timeout.
  [[nodiscard]] nccl_status status() const noexcept { return status_; }

 private:
  nccl_status status_;
};

/// Largest number of operations in one group.
inline constexpr std::size_t nccl_group_limit = 2048;

/// Returns the number of elements in a number of bytes.
/// Throws invalid_program where it is not whole.
[[nodiscard]] inline std::size_t nccl_count(std::size_t bytes, element type) {
  auto const width = static_cast<std::size_t>(size_of(type));
  if (bytes % width != 0)
    throw invalid_program(std::to_string(bytes) + " bytes are no whole number of elements of " +
                          std::to_string(width));
  return bytes / width;
}

/// NCCL for one rank, on the calling thread, whose device is set. Counts are elements.
/// Every communicator is non-blocking: `state` tells whether its last call is in progress. No other
/// function may be called on a communicator until that ends.
template <class A>
concept nccl_library =
    requires(typename A::communicator c, typename A::communicator& made, typename A::stream s,
             typename A::identity id, int n, std::size_t count, void const* from, void* to,
             element type, reduction how, std::span<int const> ranks) {
      requires std::default_initializable<typename A::communicator>;
      { A::has_shrink } -> std::convertible_to<bool>;
      { A::new_identity() } -> std::same_as<typename A::identity>;  // throws nccl_error
      {
        // Arguments: size, identity, own rank in it, most blocks of the GPU (0: NCCL's choice).
        A::init(made, n, id, n, n)
      } -> std::same_as<nccl_status>;
      {
        // Arguments: colour (-1: none), order, the new communicator.
        A::split(c, n, n, made)
      } -> std::same_as<nccl_status>;
      {
        // Leaves out these ranks of the communicator; ends operations in progress on the parent.
        A::shrink(c, ranks, made)
      } -> std::same_as<nccl_status>;
      { A::finalize(c) } -> std::same_as<nccl_status>;
      { A::destroy(c) } -> std::same_as<nccl_status>;
      { A::abort(c) } -> std::same_as<nccl_status>;
      { A::state(c) } -> std::same_as<nccl_status>;
      { A::last_error(c) } -> std::convertible_to<std::string>;
      { A::allocate(count) } -> std::same_as<void*>;  // device memory; throws nccl_error
      A::deallocate(to);                              // when the device has ended its work
      { A::group_start() } -> std::same_as<nccl_status>;
      { A::group_end() } -> std::same_as<nccl_status>;
      { A::send(from, count, type, n, c, s) } -> std::same_as<nccl_status>;
      { A::receive(to, count, type, n, c, s) } -> std::same_as<nccl_status>;
      {
        // `count` of the whole buffer.
        A::all_reduce(from, to, count, type, how, c, s)
      } -> std::same_as<nccl_status>;
      {
        // `count` of a part.
        A::reduce_scatter(from, to, count, type, how, c, s)
      } -> std::same_as<nccl_status>;
      {
        // `count` of a part.
        A::all_gather(from, to, count, type, c, s)
      } -> std::same_as<nccl_status>;
    };

}  // namespace shunt
