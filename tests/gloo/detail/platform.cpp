#include "shunt/gloo/detail/platform.hpp"

#include "shunt/gloo/detail/host_platform.hpp"
#include "support/simulated/platform.hpp"

namespace shunt::tests::platform_test {
namespace {

static_assert(detail::platform<detail::host_platform>);
static_assert(detail::platform<simulated::virtual_platform>);

/// One whose writes report nothing.
struct without_errors : detail::host_platform {
  static void write(std::string const&, std::string const&) {}
};
static_assert(!detail::platform<without_errors>);

}  // namespace
}  // namespace shunt::tests::platform_test
