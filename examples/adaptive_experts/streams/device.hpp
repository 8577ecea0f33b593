#pragma once
#include <cstdint>

#include "shunt/train/stream_moe_model.hpp"
#include "training_device.hpp"

namespace example::moe {

/// What the training of a mixture of experts asks of a device beyond training_device: teams, and
/// products of doubles.
template <class D>
concept device = training_device<D> && shunt::team_device<D> &&
                 requires(D& d, typename D::system::stream_ref on, product_shape const& shape,
                          double const* in, double* out) { d.multiply(on, shape, in, in, out); };

}  // namespace example::moe
