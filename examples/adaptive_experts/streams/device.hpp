#pragma once
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "training_device.hpp"

namespace example::moe {

/// Nothing, as a function object of a team (shunt/device/team.hpp).
struct no_team {
  [[nodiscard]] SHUNT_HD constexpr std::int64_t shared_bytes() const { return 0; }
  template <class Team>
  SHUNT_HD void operator()(Team const&, std::int32_t, unsigned char*) const {}
};

/// What the training of a mixture of experts asks of a device beyond training_device: products of
/// doubles, and
///
///     d.team(on, f, condition)    f(team, 0, shared memory) by one team of threads, under the same
///     condition
template <class D>
concept device = training_device<D> &&
                 requires(D& d, typename D::system::stream_ref on, std::int64_t const* condition,
                          product_shape const& shape, double const* in, double* out) {
                   d.team(on, no_team{}, condition);
                   d.multiply(on, shape, in, in, out);
                 };

}  // namespace example::moe
