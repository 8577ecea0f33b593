#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "adam.hpp"
#include "aligned_bytes.hpp"
#include "fixed_point.hpp"
#include "memory.hpp"
#include "model.hpp"
#include "product.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/work.hpp"
#include "shunt/lower/expert_buffers.hpp"
#include "shunt/lower/moe_iteration.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/microbatch_owners.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/program/program.hpp"
#include "shunt/solve/experts/capacity_split.hpp"
#include "text.hpp"

namespace example {

/// What a program of lower/moe_iteration.hpp moves for a model and how much: the sizes of its
/// buffers.
[[nodiscard]] inline shunt::moe_shape shape_of(moe_model const& m, std::int32_t ranks,
                                               std::int64_t tokens, std::int64_t slot_capacity) {
  auto const floats = static_cast<shunt::byte_count>(sizeof(float));
  return {.layers = m.layers,
          .tokens = tokens,
          .slot_capacity = slot_capacity,
          .token_bytes = m.expert.width * floats,
          .hidden_bytes = aligned(tokens * m.expert.width * floats),
          .kept_bytes =
              static_cast<shunt::byte_count>(kept_tokens<float>(m, tokens, {}).count) * floats,
          .dense_bytes = 3 * dense_count(m) * floats,
          .sums = dense_count(m) + 2,
          .experts = {.experts = m.experts, .ranks = ranks, .elements = m.expert.elements()}};
}

/// The model's mathematics and the memory of every rank, or of one. An operation touches nothing
/// but the buffers that its task names: an access to any other throws. A rank works on each
/// micro-batch that it carries by itself, with the same shapes as any other rank.
///
/// Contents, beyond what moe_buffers says: `dense` is parameters, then both moments; `state` master
/// weights, then both moments; `sums` the dense gradient, the losses, and values that did not fit
/// fixed point (0 in a sound run), all in units of 2^-40 but the last.
class moe_work {
 public:
  static constexpr std::int32_t state_planes = 3;  ///< arrays that `state` is made of

  struct config {
    moe_model model{};
    shunt::moe_shape shape{};
    shunt::shard_map shards{};
    adam optimizer{};
    std::uint64_t seed = 1;
    std::optional<shunt::rank_id> only{};  ///< the rank of this process, where each has one of its
                                           ///< own: others then have no memory here
  };

  /// Allocates what `sizes` declares, any program of this shape. The text outlives the work.
  /// The weights of the first iteration lie in `weight_shards`: a scatter program brings them to
  /// the slots.
  moe_work(config c, shunt::program const& sizes, sampler from)
      : config_(std::move(c)),
        dense_count_(static_cast<std::size_t>(dense_count(config_.model))),
        sampler_(from),
        memory_(sizes.ranks.size(), config_.only) {
    fit(sizes);
    for (shunt::rank_id r : shunt::ids<shunt::rank_id>(sizes.ranks.size()))
      if (has(r)) start(r);
    set_owners(shunt::owners_of(config_.shape));
  }

  /// Says where experts are from the next program on; every rank knows it.
  void place(shunt::expert_placement placement) {
    part_ = owners_.most() * shunt::part_tokens(config_.shape, placement);
    placement_ = std::move(placement);
  }
  /// Says who brings which micro-batches from the next placement on.
  void set_owners(shunt::microbatch_owners owners) {
    owners_ = std::move(owners);
    live_ = owners_.live();
  }

  /// Whether this rank has memory here.
  [[nodiscard]] bool has(shunt::rank_id r) const { return memory_.has(r); }
  void fit(shunt::program const& sizes) { memory_.fit(sizes); }
  void forget(shunt::rank_id r) { memory_.forget(r); }
  void restore(shunt::rank_id r, std::int64_t iteration) { memory_.restore(r, iteration); }

  /// After a program has brought all ranks what they keep under another map of shards.
  void adopt(shunt::shard_map shards) {
    config_.shards = std::move(shards);
    for (shunt::rank_id const r : live_) {
      if (!has(r)) continue;
      for (shunt::layer_id l : shunt::ids<shunt::layer_id>(config_.model.layers)) {
        auto const held = static_cast<std::size_t>(shunt::held_elements(config_.shards, r));
        std::swap(memory_(r, buffers::state(l)), memory_(r, buffers::recovered(l)));
        memory_(r, buffers::weight_shards(l)).resize(held * sizeof(float));
        to_weights(values<float>(r, buffers::state(l)).first(held),
                   values<float>(r, buffers::weight_shards(l)));
      }
    }
  }

  void operator()(shunt::rank_id rank, shunt::task const& task) {
    access const on{*this, rank, task};
    shunt::layer_id const layer = task.op.stage.value();
    switch (task.op.kind) {
      case shunt::op_kind::route: return route(on, layer);
      case shunt::op_kind::dispatch: return dispatch(on, layer);
      case shunt::op_kind::expert_forward: return expert_forward(on, layer);
      case shunt::op_kind::combine: return combine(on, layer);
      case shunt::op_kind::combine_backward: return combine_backward(on, layer);
      case shunt::op_kind::expert_backward: return expert_backward(on, layer);
      case shunt::op_kind::dispatch_backward: return dispatch_backward(on, layer);
      case shunt::op_kind::step:
        return layer == config_.model.layers ? step_dense(on) : step(on, layer);
      default:
        throw shunt::invalid_program("a MoE iteration has no operation " +
                                     std::string(to_string(task.op.kind)));
    }
  }

  [[nodiscard]] std::span<std::byte> buffer(shunt::rank_id r, shunt::buffer_id b) {
    return memory_(r, b);
  }
  template <class T>
  [[nodiscard]] std::span<T> values(shunt::rank_id r, shunt::buffer_id b) {
    return as<T>(buffer(r, b));
  }

  /// After an iteration, as any live rank knows it: the mean loss over all its tokens, in nats.
  [[nodiscard]] double loss(shunt::rank_id r) {
    auto const sum = values<std::int64_t>(r, buffers::sums)[dense_count_];
    return static_cast<double>(sum) / (0x1p40 * static_cast<double>(owners_.microbatches()));
  }
  /// Values of that iteration that did not fit fixed point, or sums that may not be exact.
  [[nodiscard]] std::int64_t misfits(shunt::rank_id r) {
    return values<std::int64_t>(r, buffers::sums)[dense_count_ + 1];
  }

 private:
  using buffers = shunt::moe_buffers;
  using windows = std::vector<std::uint8_t const*>;

  /// One task's way to memory: only what it declares.
  struct access {
    moe_work& work;
    shunt::rank_id rank;
    shunt::task const& task;

    template <class T>
    [[nodiscard]] std::span<T const> read(shunt::buffer_id b) const {
      return as<T>(declared(task.reads, b));
    }
    template <class T>
    [[nodiscard]] std::span<T> write(shunt::buffer_id b) const {
      return as<T>(declared(task.writes, b));
    }

   private:
    [[nodiscard]] std::span<std::byte> declared(std::span<shunt::region const> regions,
                                                shunt::buffer_id b) const {
      for (auto const& r : regions)
        if (r.buffer == b)
          return work.buffer(rank, b).subspan(static_cast<std::size_t>(r.offset),
                                              static_cast<std::size_t>(r.size));
      throw shunt::invalid_program("operation " + std::string(to_string(task.op.kind)) +
                                   " needs buffer " + std::to_string(b.value()));
    }
  };

  /// Tokens of one slot: runs of rows among the parts that travel, source by source.
  struct run {
    std::int64_t row = 0, count = 0;
  };

  void start(shunt::rank_id r) {
    auto const& m = config_.model;
    dense_parameters<float> p(
        m, span_splitter<float>(values<float>(r, buffers::dense).first(dense_count_)));
    initialise(m, config_.seed, p);
    for (shunt::layer_id l : shunt::ids<shunt::layer_id>(m.layers)) {
      auto* master = values<float>(r, buffers::state(l)).data();
      auto* shards = values<float>(r, buffers::weight_shards(l)).data();
      for (shunt::expert_id e : shunt::ids<shunt::expert_id>(m.experts)) {
        auto const expert = initial_expert(m, config_.seed, l.value(), e.value());
        for (auto const& s : config_.shards.shards[e]) {
          if (!s.held_by(r)) continue;
          master = std::copy(expert.begin() + s.begin, expert.begin() + s.end, master);
          shards = std::copy(expert.begin() + s.begin, expert.begin() + s.end, shards);
        }
      }
    }
  }

  [[nodiscard]] Eigen::Index tokens() const {
    return static_cast<Eigen::Index>(config_.shape.tokens);
  }
  [[nodiscard]] Eigen::Index width() const { return config_.model.expert.width; }

  /// A micro-batch on the rank that carries it, as the rank's `nth`.
  struct owned {
    std::int32_t microbatch = 0;
    std::size_t nth = 0;
  };
  [[nodiscard]] std::vector<owned> owned_by(shunt::rank_id r) const {
    std::vector<owned> all;
    for (auto const k : owners_.owned_by(r)) all.push_back({k, all.size()});
    return all;
  }

  [[nodiscard]] windows windows_of(access const& on, owned const& c) const {
    windows all(static_cast<std::size_t>(config_.shape.tokens));
    for (std::size_t t = 0; t < all.size(); ++t)
      all[t] = sampler_(on.task.iteration, c.microbatch, static_cast<std::int64_t>(t));
    return all;
  }
  [[nodiscard]] dense_parameters<float const> parameters(access const& on) const {
    return {config_.model,
            span_splitter<float const>(on.read<float>(buffers::dense).first(dense_count_))};
  }
  template <class T>
  [[nodiscard]] matrix_in<T> matrix(std::span<T> values) const {
    return matrix_in<T>(values.data(), static_cast<Eigen::Index>(values.size()) / width(), width());
  }
  /// A micro-batch's part of a buffer that holds `bytes` for each that a rank carries.
  template <class T>
  [[nodiscard]] static std::span<T> part(std::span<T> all, owned const& c,
                                         shunt::byte_count bytes) {
    auto const size = static_cast<std::size_t>(bytes) / sizeof(T);
    return all.subspan(c.nth * size, size);
  }
  template <class T>
  [[nodiscard]] matrix_in<T> hidden(std::span<T> all, owned const& c) const {
    return matrix_in<T>(part(all, c, config_.shape.hidden_bytes).data(), tokens(), width());
  }
  [[nodiscard]] kept_tokens<float> kept(access const& on, shunt::layer_id l, owned const& c) const {
    return {
        config_.model, config_.shape.tokens,
        span_splitter<float>(part(on.write<float>(buffers::kept(l)), c, config_.shape.kept_bytes))};
  }
  [[nodiscard]] kept_tokens<float const> kept_before(access const& on, shunt::layer_id l,
                                                     owned const& c) const {
    return {config_.model, config_.shape.tokens,
            span_splitter<float const>(
                part(on.read<float>(buffers::kept(l)), c, config_.shape.kept_bytes))};
  }

  /// Adds a gradient of the sum of a micro-batch's losses to the sums of its parameters, as the
  /// gradient of the mean.
  void add_gradient(std::span<std::int64_t> sums, matrix_in<float const> const& parameters,
                    float const* first, stored_matrix gradient) const {
    gradient /= static_cast<float>(config_.shape.tokens);
    auto const offset = static_cast<std::size_t>(parameters.data() - first);
    auto const size = static_cast<std::size_t>(gradient.size());
    sums[dense_count_ + 1] +=
        fixed_point::accumulate({gradient.data(), size}, sums.subspan(offset, size));
  }

  /// Tokens of a micro-batch that go to a rank's slots.
  [[nodiscard]] std::int64_t sent(std::span<std::int64_t const> shares, std::int32_t microbatch,
                                  shunt::rank_id host) const {
    std::int64_t sum = 0;
    auto const row = shares.subspan(static_cast<std::size_t>(microbatch) *
                                    static_cast<std::size_t>(placement_.slots()));
    for (auto s = placement_.first_slot[host.index()]; s < placement_.first_slot[host.index() + 1];
         ++s)
      sum += row[static_cast<std::size_t>(s)];
    return sum;
  }

  /// How many bytes go to each live rank (or come from it), by the shares of the layer.
  void count_bytes(std::span<std::int64_t const> shares, shunt::rank_id self, bool to_slots,
                   std::span<std::int64_t> counts) const {
    for (std::size_t peer = 0; peer < live_.size(); ++peer) {
      auto const source = to_slots ? self : live_[peer], host = to_slots ? live_[peer] : self;
      counts[peer] = 0;
      for (auto const k : owners_.owned_by(source))
        counts[peer] += sent(shares, k, host) * config_.shape.token_bytes;
    }
  }

  /// The tokens of each of this rank's slots among what arrived: part i holds those of live rank i,
  /// micro-batch by micro-batch and within them slot by slot.
  [[nodiscard]] std::vector<std::vector<run>> arrivals(std::span<std::int64_t const> shares,
                                                       shunt::rank_id self) const {
    auto const first = placement_.first_slot[self.index()],
               last = placement_.first_slot[self.index() + 1];
    std::vector<std::vector<run>> slots(static_cast<std::size_t>(last - first));
    for (std::size_t peer = 0; peer < live_.size(); ++peer) {
      std::int64_t row = static_cast<std::int64_t>(peer) * part_;
      for (auto const k : owners_.owned_by(live_[peer]))
        for (auto s = first; s < last; ++s) {
          auto const count = shares[static_cast<std::size_t>(k * placement_.slots() + s)];
          if (count > 0) slots[static_cast<std::size_t>(s - first)].push_back({row, count});
          row += count;
        }
    }
    return slots;
  }
  [[nodiscard]] static Eigen::Index count(std::vector<run> const& runs) {
    std::int64_t sum = 0;
    for (auto const& r : runs) sum += r.count;
    return static_cast<Eigen::Index>(sum);
  }
  [[nodiscard]] static stored_matrix gather(std::vector<run> const& runs,
                                            matrix_in<float const> const& from) {
    stored_matrix rows(count(runs), from.cols());
    Eigen::Index at = 0;
    for (auto const& r : runs) {
      rows.middleRows(at, r.count) = from.middleRows(r.row, r.count);
      at += r.count;
    }
    return rows;
  }
  static void scatter(std::vector<run> const& runs, stored_matrix const& rows,
                      matrix_in<float> to) {
    Eigen::Index at = 0;
    for (auto const& r : runs) {
      to.middleRows(r.row, r.count) = rows.middleRows(at, r.count);
      at += r.count;
    }
  }

  /// The probability of the expert that a token goes to: what its answer is scaled by, so that the
  /// router learns.
  [[nodiscard]] static float gate(auto const& kept, Eigen::Index token) {
    return kept.probability(token, static_cast<Eigen::Index>(kept.expert(token, 0)));
  }

  void route(access const& on, shunt::layer_id l) {
    auto const p = parameters(on);
    auto const experts = static_cast<std::size_t>(config_.model.experts);
    auto const counts = on.write<std::int64_t>(buffers::counts(l));
    std::fill(counts.begin(), counts.end(), 0);
    for (auto const& c : owned_by(on.rank)) {
      auto const above = on.write<float>(buffers::hidden);
      if (l == 0)
        hidden(above, c) =
            product_nt(embedded(config_.model, p.embed, windows_of(on, c)), p.project);
      auto k = kept(on, l, c);
      choose_experts(p.router[l.index()], hidden<float const>(above, c), k);
      for (Eigen::Index t = 0; t < tokens(); ++t)
        ++counts[c.nth * experts + static_cast<std::size_t>(k.expert(t, 0))];
    }
  }

  void dispatch(access const& on, shunt::layer_id l) {
    auto const experts = static_cast<std::size_t>(config_.model.experts);
    auto const all = on.read<std::int64_t>(buffers::all_counts(l));
    std::vector<std::int64_t> by_microbatch(static_cast<std::size_t>(owners_.microbatches()) *
                                            experts);
    for (std::size_t peer = 0; peer < live_.size(); ++peer)
      for (auto const& c : owned_by(live_[peer])) {
        auto const row = all.subspan(
            (peer * static_cast<std::size_t>(owners_.most()) + c.nth) * experts, experts);
        std::copy(row.begin(), row.end(),
                  by_microbatch.begin() + c.microbatch * config_.model.experts);
      }
    auto const answer = shunt::capacity_split{}(
        shunt::routed(placement_, l, std::move(by_microbatch), config_.shape.slot_capacity));
    auto const shares = on.write<std::int64_t>(buffers::shares(l));
    std::copy(answer.plan.tokens.begin(), answer.plan.tokens.end(), shares.begin());
    count_bytes(shares, on.rank, true, on.write<std::int64_t>(buffers::outgoing_counts));

    auto outgoing = matrix(on.write<float>(buffers::outgoing));
    std::vector<std::int64_t> first_row;  // of the next micro-batch, by live rank
    for (std::size_t peer = 0; peer < live_.size(); ++peer)
      first_row.push_back(static_cast<std::int64_t>(peer) * part_);
    for (auto const& c : owned_by(on.rank)) {
      // the slots that take this micro-batch's tokens of each expert, in order, and the next row of
      // each
      auto const own = shares.subspan(static_cast<std::size_t>(c.microbatch) *
                                      static_cast<std::size_t>(placement_.slots()));
      struct target {
        std::int64_t row, left;
      };
      std::vector<std::vector<target>> targets(experts);
      for (std::size_t peer = 0; peer < live_.size(); ++peer)
        for (auto s = placement_.first_slot[live_[peer].index()];
             s < placement_.first_slot[live_[peer].index() + 1]; ++s) {
          auto const left = own[static_cast<std::size_t>(s)];
          targets[placement_.layer(l)[static_cast<std::size_t>(s)].index()].push_back(
              {first_row[peer], left});
          first_row[peer] += left;
        }
      std::vector<std::size_t> next(targets.size(), 0);
      auto k = kept(on, l, c);
      for (Eigen::Index t = 0; t < tokens(); ++t) {
        auto const e = static_cast<std::size_t>(k.expert(t, 0));
        while (next[e] < targets[e].size() && targets[e][next[e]].left == 0) ++next[e];
        k.place(t, 0) = -1;
        if (next[e] == targets[e].size()) continue;
        auto& to = targets[e][next[e]];
        k.place(t, 0) = static_cast<float>(to.row);
        outgoing.row(to.row) = k.x.row(t);
        ++to.row;
        --to.left;
      }
    }
  }

  void expert_forward(access const& on, shunt::layer_id l) {
    auto const shares = on.read<std::int64_t>(buffers::shares(l));
    auto const weights = on.read<float>(buffers::weights(l));
    auto const elements = static_cast<std::size_t>(config_.model.expert.elements());
    auto const slots = arrivals(shares, on.rank);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      stored_matrix const x = gather(slots[s], matrix(on.read<float>(buffers::arrived(l))));
      stored_matrix y(x.rows(), x.cols());
      config_.model.expert.forward(weights.subspan(s * elements, elements),
                                   {x.data(), x.rows(), x.cols()}, {y.data(), y.rows(), y.cols()});
      scatter(slots[s], y, matrix(on.write<float>(buffers::outgoing)));
    }
    count_bytes(shares, on.rank, false, on.write<std::int64_t>(buffers::outgoing_counts));
  }

  void combine(access const& on, shunt::layer_id l) {
    auto const answers = matrix(on.read<float>(buffers::answers(l)));
    for (auto const& c : owned_by(on.rank)) {
      auto const k = kept_before(on, l, c);
      auto above = hidden(on.write<float>(buffers::hidden), c);
      for (Eigen::Index t = 0; t < tokens(); ++t)
        if (k.place(t, 0) >= 0)
          above.row(t) += gate(k, t) * answers.row(static_cast<Eigen::Index>(k.place(t, 0)));
      if (l.value() + 1 < config_.model.layers) continue;

      auto const p = parameters(on);
      auto const result = head_and_loss(config_.model, p, above, windows_of(on, c));
      auto const sums = on.write<std::int64_t>(buffers::sums);
      add_gradient(sums, p.head, p.embed.data(), result.head);
      add_gradient(sums, p.bias, p.embed.data(), result.bias);
      auto const loss = static_cast<float>(result.loss / static_cast<double>(config_.shape.tokens));
      sums[dense_count_ + 1] += fixed_point::accumulate({&loss, 1}, sums.subspan(dense_count_, 1));
    }
  }

  void combine_backward(access const& on, shunt::layer_id l) {
    auto const answers = matrix(on.read<float>(buffers::answers(l)));
    auto outgoing = matrix(on.write<float>(buffers::outgoing));
    for (auto const& c : owned_by(on.rank)) {
      auto k = kept(on, l, c);
      auto const above = hidden(on.read<float>(buffers::hidden), c);
      for (Eigen::Index t = 0; t < tokens(); ++t) {
        k.gate_gradient(t, 0) = 0;
        if (k.place(t, 0) < 0) continue;
        auto const place = static_cast<Eigen::Index>(k.place(t, 0));
        k.gate_gradient(t, 0) = above.row(t).dot(answers.row(place));
        outgoing.row(place) = (gate(k, t) * above.row(t)).unaryExpr([](float v) {
          return static_cast<float>(gradient_grid(static_cast<double>(v)));
        });
      }
    }
    count_bytes(on.read<std::int64_t>(buffers::shares(l)), on.rank, true,
                on.write<std::int64_t>(buffers::outgoing_counts));
  }

  void expert_backward(access const& on, shunt::layer_id l) {
    auto const shares = on.read<std::int64_t>(buffers::shares(l));
    auto const weights = on.read<float>(buffers::weights(l));
    auto const gradients = on.write<std::int64_t>(buffers::slot_gradients(l));
    auto const elements = static_cast<std::size_t>(config_.model.expert.elements());
    auto const slots = arrivals(shares, on.rank);
    for (std::size_t s = 0; s < slots.size(); ++s) {
      stored_matrix const x = gather(slots[s], matrix(on.read<float>(buffers::arrived(l))));
      stored_matrix const dy = gather(slots[s], matrix(on.read<float>(buffers::incoming)));
      stored_matrix dx(x.rows(), x.cols());
      bool const exact = config_.model.expert.backward(
          weights.subspan(s * elements, elements), {x.data(), x.rows(), x.cols()},
          {dy.data(), dy.rows(), dy.cols()}, {dx.data(), dx.rows(), dx.cols()},
          gradients.subspan(s * elements, elements));
      on.write<std::int64_t>(buffers::sums)[dense_count_ + 1] += !exact;
      scatter(slots[s], dx, matrix(on.write<float>(buffers::outgoing)));
    }
    count_bytes(shares, on.rank, false, on.write<std::int64_t>(buffers::outgoing_counts));
  }

  void dispatch_backward(access const& on, shunt::layer_id l) {
    auto const& m = config_.model;
    auto const p = parameters(on);
    auto const incoming = matrix(on.read<float>(buffers::incoming));
    auto const sums = on.write<std::int64_t>(buffers::sums);
    for (auto const& c : owned_by(on.rank)) {
      auto const k = kept_before(on, l, c);
      auto above = hidden(on.write<float>(buffers::hidden), c);
      stored_matrix dx = stored_matrix::Zero(tokens(), width());
      for (Eigen::Index t = 0; t < tokens(); ++t)
        if (k.place(t, 0) >= 0) dx.row(t) = incoming.row(static_cast<Eigen::Index>(k.place(t, 0)));
      add_gradient(sums, p.router[l.index()], p.embed.data(),
                   choose_experts_backward(p.router[l.index()], k, dx, above));
      if (l != 0) continue;

      auto const text = windows_of(on, c);
      add_gradient(sums, p.project, p.embed.data(), product_tn(above, embedded(m, p.embed, text)));
      stored_matrix const du = product(above, p.project);
      stored_matrix table = stored_matrix::Zero(m.bytes, m.embedding);
      for (std::size_t t = 0; t < text.size(); ++t)
        for (std::int32_t b = 0; b < m.context; ++b)
          table.row(text[t][b]) +=
              du.row(static_cast<Eigen::Index>(t)).segment(b * m.embedding, m.embedding);
      add_gradient(sums, p.embed, p.embed.data(), table);
    }
  }

  static void to_weights(std::span<float const> masters, std::span<float> weights) {
    for (std::size_t i = 0; i < masters.size(); ++i)
      weights[i] = static_cast<float>(weight_grid(static_cast<double>(masters[i])));
  }

  void step(access const& on, shunt::layer_id l) {
    for (auto const b : {buffers::state(l), buffers::weight_shards(l)})
      memory_.keep(on.rank, b, on.task.iteration);
    auto const gradient = on.read<std::int64_t>(buffers::shard_gradients(l));
    auto const state = on.write<float>(buffers::state(l));
    auto const count = gradient.size();
    auto const all_tokens = config_.shape.tokens * owners_.microbatches();
    config_.optimizer(state.first(count), state.subspan(count, count),
                      state.subspan(2 * count, count), gradient, all_tokens, on.task.iteration + 1);
    to_weights(state.first(count), on.write<float>(buffers::weight_shards(l)));
  }

  void step_dense(access const& on) {
    memory_.keep(on.rank, buffers::dense, on.task.iteration);
    auto const dense = on.write<float>(buffers::dense);
    auto const count = dense_count_;
    config_.optimizer(dense.first(count), dense.subspan(count, count),
                      dense.subspan(2 * count, count),
                      on.read<std::int64_t>(buffers::sums).first(count), owners_.microbatches(),
                      on.task.iteration + 1);
  }

  config config_;
  std::size_t dense_count_;
  sampler sampler_;
  shunt::expert_placement placement_{};
  shunt::microbatch_owners owners_{};
  std::vector<shunt::rank_id> live_{};  // of the carriers
  std::int64_t part_ = 0;               // rows for each live rank among what travels
  work_memory memory_;
};
static_assert(shunt::restorable_work<moe_work>);

}  // namespace example
