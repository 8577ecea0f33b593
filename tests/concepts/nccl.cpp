// The least library that nccl_executor can run on. It refuses everything, so that nothing runs.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "archetypes.hpp"
#include "shunt/execute/executor.hpp"
#include "shunt/execute/stream_transport.hpp"
#include "shunt/nccl/executor.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/transport.hpp"
#include "shunt/program/builder.hpp"

namespace archetypes {

struct least_library {
  /// A handle: copied, and compared with the null handle.
  struct communicator {
    bool operator==(communicator const&) const = default;
  };
  struct identity {};
  using stream = least_stream_ref;
  static constexpr bool has_shrink = true;
  static constexpr auto no = nccl_status::system_error;

  static identity new_identity() { return {}; }
  static nccl_status init(communicator&, int, identity, int, int) { return no; }
  static nccl_status split(communicator, int, int, communicator&) { return no; }
  static nccl_status shrink(communicator, std::span<int const>, communicator&) { return no; }
  static nccl_status finalize(communicator) { return no; }
  static nccl_status destroy(communicator) { return no; }
  static nccl_status abort(communicator) { return no; }
  static nccl_status state(communicator) { return no; }
  static std::string last_error(communicator) { return "refused"; }
  static void* allocate(std::size_t) { return nullptr; }
  static void deallocate(void*) {}
  static nccl_status group_start() { return no; }
  static nccl_status group_end() { return no; }
  static nccl_status send(void const*, std::size_t, element, int, communicator, stream) {
    return no;
  }
  static nccl_status receive(void*, std::size_t, element, int, communicator, stream) { return no; }
  static nccl_status all_reduce(void const*, void*, std::size_t, element, reduction, communicator,
                                stream) {
    return no;
  }
  static nccl_status reduce_scatter(void const*, void*, std::size_t, element, reduction,
                                    communicator, stream) {
    return no;
  }
  static nccl_status all_gather(void const*, void*, std::size_t, element, communicator, stream) {
    return no;
  }
};
static_assert(nccl_library<least_library>);

/// Makes the streams of a rank's device.
struct least_systems {
  least_calling_system operator()(rank_id) const { return {}; }
};

}  // namespace archetypes

template class shunt::nccl_transport<archetypes::least_library>;
template class shunt::detail::rank_streams<
    archetypes::least_library, archetypes::least_calling_system, archetypes::least_work>;
template class shunt::detail::rank_streams<archetypes::least_library, archetypes::least_system,
                                           archetypes::least_stream_work>;
template class shunt::nccl_session<archetypes::least_library, archetypes::least_systems,
                                   archetypes::least_work>;

namespace {

using namespace shunt;
using namespace archetypes;

using executor = nccl_executor<least_library, least_systems>;
static_assert(collective_stream_transport<nccl_transport<least_library>>);
static_assert(progress_executor_of<executor, least_work>);

TEST(archetypes, a_library_that_refuses_everything_ends_the_session_with_an_error) {
  program_builder b(1);
  b.buffer(0, 64, true);
  b.fill(0, b.all_of(0, 0));
  auto const p = std::move(b).finish();
  least_work w;
  EXPECT_THROW((void)executor{}.run(p, w), nccl_error);
}

}  // namespace
