#pragma once
/// What of NCCL the rest of this room asks for, as functions of a type. `nccl_api` forwards them to
/// the library; a test double that knows NCCL's rules has the same ones, so that order and grouping
/// are tested where there is no GPU. Nothing here needs a vendor's header.
///
/// NCCL's rules, as far as order is concerned:
///   - Messages have no tags: between two ranks of a communicator the n-th send meets the n-th
///   receive.
///   - What is submitted to one communicator runs in the order of submission on every rank,
///   whatever the streams, and a send ends with its
///     receive. So two ranks that both send before they receive wait forever.
///   - What stands between group_start and group_end is submitted together and runs at once: inside
///   a group no circle can form.
///   - All members of a communicator submit its collectives in one order, with equal counts.
///   - Making, splitting, shrinking and finalizing are collective too, and nothing may be under way
///   on the parent meanwhile.
///   - At most 2048 operations stand in a group, and no two ranks of a communicator on one device.
///   - The first operation between two ranks may keep `state` at in_progress until the other one
///   has submitted its part.
/// Reference: NCCL 2.28 user guide, "Group calls", "Point-to-point communication", "Creating a
/// communicator", "Fault tolerance".
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "shunt/program/program.hpp"

namespace shunt {

/// ncclResult_t, number by number.
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

/// NCCL refused something, or did not do it in time. `what()` names the rank, what it wanted, and
/// why not.
class nccl_error : public std::runtime_error {
 public:
  nccl_error(std::string const& what, nccl_status status)
      : std::runtime_error(what), status_(status) {}
  /// in_progress: it took too long.
  [[nodiscard]] nccl_status status() const noexcept { return status_; }

 private:
  nccl_status status_;
};

/// Operations that one group may hold.
inline constexpr std::size_t nccl_group_limit = 2048;

/// NCCL for one rank on the calling thread, whose device is set. Every communicator is
/// non-blocking: `state` says whether its last call is still in progress, and nothing else may be
/// called on it until that ends. Counts are elements.
template <class A>
concept nccl_library =
    requires(typename A::communicator c, typename A::communicator& made, typename A::stream s,
             typename A::identity id, int n, std::size_t count, void const* from, void* to,
             element type, reduction how, std::span<int const> ranks) {
      requires std::default_initializable<typename A::communicator>;
      { A::has_shrink } -> std::convertible_to<bool>;
      { A::new_identity() } -> std::same_as<typename A::identity>;  // throws nccl_error
      {
        A::init(made, n, id, n, n)
      } -> std::same_as<nccl_status>;  // size, identity, own place, most blocks of the GPU (0: any)
      {
        A::split(c, n, n, made)
      } -> std::same_as<nccl_status>;  // colour (-1: none), order, what comes of it
      {
        A::shrink(c, ranks, made)
      } -> std::same_as<nccl_status>;  // places left out; ends what is under way on the parent
      { A::finalize(c) } -> std::same_as<nccl_status>;
      { A::destroy(c) } -> std::same_as<nccl_status>;
      { A::abort(c) } -> std::same_as<nccl_status>;
      { A::state(c) } -> std::same_as<nccl_status>;
      { A::last_error(c) } -> std::convertible_to<std::string>;
      { A::allocate(count) } -> std::same_as<void*>;  // device memory; throws nccl_error
      A::deallocate(to);
      { A::group_start() } -> std::same_as<nccl_status>;
      { A::group_end() } -> std::same_as<nccl_status>;
      { A::send(from, count, type, n, c, s) } -> std::same_as<nccl_status>;
      { A::receive(to, count, type, n, c, s) } -> std::same_as<nccl_status>;
      {
        A::all_reduce(from, to, count, type, how, c, s)
      } -> std::same_as<nccl_status>;  // count of the whole
      {
        A::reduce_scatter(from, to, count, type, how, c, s)
      } -> std::same_as<nccl_status>;  // count of a part
      {
        A::all_gather(from, to, count, type, c, s)
      } -> std::same_as<nccl_status>;  // count of a part
    };

}  // namespace shunt
