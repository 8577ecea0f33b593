#pragma once
/// scaled_experts on streams of the host, whose device memory the host can reach: each operation is
/// one item that calls the host's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/device/team.hpp"
#include "shunt/train/stream_moe_model.hpp"
#include "support/host_streams.hpp"
#include "support/random_choices.hpp"
#include "support/scaled_experts.hpp"

namespace shunt::tests {

/// The least team_device: items and threads get their turns in orders drawn by lot.
class least_team_device {
 public:
  using system = host_streams;
  using stream_ref = host_streams::stream_ref;

  explicit least_team_device(std::uint64_t seed) : streams_(seed), random_(seed + 1) {}

  [[nodiscard]] system& streams() { return streams_; }
  void settle() { streams_.synchronize(); }
  [[nodiscard]] system::memory memory(std::size_t size) { return streams_.make_memory(size); }
  void read(std::span<std::byte const> from, std::span<std::byte> to) { copy(from, to); }
  void write(std::span<std::byte const> from, std::span<std::byte> to) { copy(from, to); }
  void copy(std::span<std::byte const> from, std::span<std::byte> to) {
    std::copy(from.begin(), from.end(), to.begin());
  }
  template <class Items>
  void each(stream_ref on, std::int64_t n, Items const& f, std::int64_t const* condition) {
    streams_.call(on, [=, first = random_.below(n)] {
      if (condition && *condition == 0) return;
      for (std::int64_t k = 0; k < n; ++k) f((k + first) % n);
    });
  }
  template <class F>
  void team(stream_ref on, F const& f, std::int64_t const* condition) {
    streams_.call(on, [f, condition, turn = turn_++] {
      if (condition && *condition == 0) return;
      std::vector<std::uint64_t> shared(static_cast<std::size_t>(f.shared_bytes() + 7) / 8);
      f(emulated_team(32, turn), 0, reinterpret_cast<unsigned char*>(shared.data()));
    });
  }

 private:
  host_streams streams_;
  random_choices random_;
  std::uint32_t turn_ = 0;
};
static_assert(team_device<least_team_device>);

class scaled_experts_on_streams {
 public:
  using place = moe_stream_place<least_team_device>;

  explicit scaled_experts_on_streams(scaled_experts host = scaled_experts()) : host_(host) {}

  [[nodiscard]] moe_sizes sizes(std::int64_t tokens) const { return host_.sizes(tokens); }
  [[nodiscard]] std::size_t scratch_bytes(std::int64_t, std::int64_t) const { return 0; }
  void initialise(std::span<float> dense) const { host_.initialise(dense); }
  void initialise(layer_id l, expert_id e, std::span<float> parameters) const {
    host_.initialise(l, e, parameters);
  }
  void weights(place const& on, std::span<float const> masters, std::span<float> to) const {
    on.each(1, [=, h = host_](std::int64_t) { h.weights(masters, to); });
  }
  void embed(place const& on, stream_embed_pass const& p) const {
    on.each(1, [p, h = host_](std::int64_t) {
      h.embed({*p.iteration, p.microbatch, p.dense, p.hidden});
    });
  }
  void route(place const& on, stream_route_pass const& p) const {
    on.each(1, [p, h = host_](std::int64_t) {
      h.route({p.layer, *p.iteration, p.microbatch, p.dense, p.hidden, p.input, p.expert, p.gate,
               p.kept});
    });
  }
  void expert_forward(place const& on, stream_expert_pass const& p) const {
    on.each(p.most, [p, h = host_, width = width()](std::int64_t i) {
      if (i >= p.at.tokens()) return;
      auto const at = p.at[i] * width;
      h.expert_forward(
          {p.layer, p.expert, p.parameters, row(p.input + at, width), row(p.output + at, width)});
    });
  }
  void combine(place const& on, stream_combine_pass const& p) const {
    on.each(std::ssize(p.row), [p, h = host_, width = width()](std::int64_t t) {
      auto const token = static_cast<std::size_t>(t);
      if (p.row[token] >= 0)
        h.combine({p.layer, p.gate[token], row(p.output + p.row[token] * width, width),
                   row(p.hidden.data() + t * width, width)});
    });
  }
  void head(place const& on, stream_head_pass const& p, double* loss) const {
    on.each(1, [p, loss, h = host_](std::int64_t) {
      *loss = h.head({*p.iteration, p.microbatch, p.dense, p.hidden, p.gradient});
    });
  }
  void combine_backward(place const& on, stream_combine_backward_pass const& p) const {
    on.each(std::ssize(p.row), [p, h = host_, width = width()](std::int64_t t) {
      auto const token = static_cast<std::size_t>(t);
      auto const at = p.row[token] * width;
      p.gate_gradient[token] =
          at < 0 ? 0
                 : h.combine_backward({p.layer, p.gate[token], row(p.output + at, width),
                                       row(p.hidden_gradient.data() + t * width, width),
                                       row(p.output_gradient + at, width)});
    });
  }
  void expert_backward(place const& on, stream_expert_backward_pass const& p) const {
    on.each(1, [p, h = host_, width = width()](std::int64_t) {
      std::fill(p.gradient.begin(), p.gradient.end(), 0);
      bool exact = true;
      for (std::int64_t i = 0; i < p.at.tokens(); ++i) {
        auto const at = p.at[i] * width;
        exact = h.expert_backward({p.layer, p.expert, p.parameters, row(p.input + at, width),
                                   row(p.output_gradient + at, width),
                                   row(p.input_gradient + at, width), p.gradient}) &&
                exact;
      }
      *p.inexact += exact ? 0 : 1;
    });
  }
  void route_backward(place const& on, stream_route_backward_pass const& p) const {
    on.each(1, [p, h = host_, width = width()](std::int64_t) {
      std::vector<float> returned(p.input.size());
      for (std::size_t t = 0; t < p.row.size(); ++t)
        if (p.row[t] >= 0)
          std::copy_n(p.returned + p.row[t] * width, width,
                      returned.begin() + static_cast<std::ptrdiff_t>(t) * width);
      h.route_backward({p.layer, *p.iteration, p.microbatch, p.dense, p.input, p.gate, p.kept,
                        p.expert, p.gate_gradient, returned, p.hidden_gradient, p.gradient});
    });
  }
  void embed_backward(place const& on, stream_embed_backward_pass const& p) const {
    on.each(1, [p, h = host_](std::int64_t) {
      h.embed_backward({*p.iteration, p.microbatch, p.dense, p.hidden_gradient, p.gradient});
    });
  }

 private:
  [[nodiscard]] std::int64_t width() const { return host_.sizes(1).width; }
  template <class T>
  [[nodiscard]] static std::span<T> row(T* at, std::int64_t width) {
    return {at, static_cast<std::size_t>(width)};
  }

  scaled_experts host_;
};
static_assert(stream_moe_model<scaled_experts_on_streams, least_team_device>);

}  // namespace shunt::tests
