#pragma once
#include "shunt/lower/detail/step_validator.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/lower/gradient_norms.hpp"
#include "shunt/lower/operands.hpp"

namespace shunt::detail {

SHUNT_INLINE step_validator::step_validator(program const& p, validation when, rollback how)
    : p_(p), when_(when), how_(how), d_(find_dependencies(p)), ranks_(p.ranks.size()) {
  for (rank_id r : ids<rank_id>(p.ranks.size())) {
    if (p.ranks[r].instructions.empty()) continue;
    ranks_[r.index()].steps = steps_of(p.ranks[r], r);
    if (ranks_[r.index()].steps.empty())
      throw invalid_program("rank " + std::to_string(r.value()) + " has a list without a step");
    for (auto const& s : ranks_[r.index()].steps) {
      while (holders_.size() <= s.stage.index()) holders_.push_back({});
      holders_[s.stage].push_back(r);
    }
    for (auto const& i : p.ranks[r].instructions) {
      channels_ = std::max(channels_, i.channel + 1);
      batches_ = std::max(batches_, i.batch + 1);
    }
  }
  for (stage_id s : ids<stage_id>(holders_.size()))
    if (holders_[s].empty())
      throw invalid_program("stage " + std::to_string(s.value()) + " is stepped on no rank");
  for (rank_id r : ids<rank_id>(p.ranks.size())) {
    if (p.ranks[r].instructions.empty()) continue;
    if (auto const up = above(r); up >= 0) ranks_[up.index()].below.push_back(r);
  }
  if (when == validation::in_next_iteration) find_norms();
}

SHUNT_INLINE validated_program step_validator::operator()() && {
  validated_program all{p_, {}};
  all.closing.ranks.resize(p_.ranks.size());
  for (rank_id r : ids<rank_id>(p_.ranks.size())) {
    if (p_.ranks[r].instructions.empty()) continue;
    list_rewriter list(p_.ranks[r]);
    declare(list, r);
    if (when_ == validation::in_next_iteration) {
      lower_opening(list, r);
    } else {
      for (std::int32_t n = 0; n < length(r); ++n)
        if (!moved_to_end(r, n)) list.move(n);
    }
    lower_steps(list, r);
    rank_program const nothing;
    list_rewriter last(nothing);
    last.out.buffers = list.out.buffers;
    if (when_ == validation::in_next_iteration) lower_closing(last, r);
    all.iteration.ranks[r] = std::move(list.out);
    all.closing.ranks[r] = std::move(last.out);
  }
  return all;
}

SHUNT_INLINE std::int32_t step_validator::length(rank_id r) const {
  return static_cast<std::int32_t>(p_.ranks[r].instructions.size());
}

SHUNT_INLINE instruction const& step_validator::at(rank_id r, std::int32_t n) const {
  return p_.ranks[r].instructions[static_cast<std::size_t>(n)];
}

SHUNT_INLINE bool step_validator::knows(rank_id r) const {
  return is_last(ranks_[r.index()].steps.back().stage);
}

SHUNT_INLINE std::int32_t step_validator::redo_channel(std::int32_t channel) const {
  return channels_ + channel;
}

SHUNT_INLINE rank_id step_validator::neighbour(rank_id r, stage_id own, stage_id other) const {
  auto const &mine = holders_[own], &theirs = holders_[other];
  if (auto const self = std::lower_bound(theirs.begin(), theirs.end(), r);
      self != theirs.end() && *self == r)
    return r;
  auto const k =
      static_cast<std::size_t>(std::lower_bound(mine.begin(), mine.end(), r) - mine.begin());
  return theirs[k * theirs.size() / mine.size()];
}

SHUNT_INLINE rank_id step_validator::above(rank_id r) const {
  auto const last = ranks_[r.index()].steps.back().stage;
  return is_last(last) ? rank_id{none} : neighbour(r, last, last.value() + 1);
}

SHUNT_INLINE bool step_validator::moved_to_end(rank_id r, std::int32_t n) const {
  return std::any_of(ranks_[r.index()].steps.begin(), ranks_[r.index()].steps.end(),
                     [&](auto const& s) { return n == s.keep || n == s.step; });
}

SHUNT_INLINE bool step_validator::clears_gradient(rank_id r, std::int32_t n) const {
  if (at(r, n).code != opcode::fill) return false;
  auto const buffer = p_.ranks[r].writes(at(r, n))[0].buffer;
  return std::any_of(
      ranks_[r.index()].steps.begin(), ranks_[r.index()].steps.end(),
      [&](auto const& s) { return buffer == s.gradient.buffer || buffer == s.flag.buffer; });
}

SHUNT_INLINE void step_validator::find_norms() {
  auto const order = serial_order(p_, d_);
  if (order.size() < p_.instructions())
    throw invalid_program("the ranks of the program can't all come to their ends");
  rank_id const lowest = holders_[holders_.size() - 1].front();
  for (auto const point : order) {
    rank_id const r = point.rank;
    auto& own = ranks_[r.index()];
    if (own.split != none) continue;
    if (knows(r)) {
      own.split = 0;
      continue;
    }
    auto const& i = at(r, point.instruction);
    auto const split_here = [&](rank_id from, std::uint8_t lane, std::uint8_t lane_there) {
      own.split = point.instruction;
      own.from = {from, lane};
      ranks_[from.index()].to.push_back({r, lane_there});
    };
    if (i.code == opcode::receive) {
      auto const sent = sent_at(r, point.instruction);
      if (ranks_[i.peer.index()].split != none && sent >= ranks_[i.peer.index()].split)
        split_here(i.peer, i.lane, at(i.peer, sent).lane);
    } else if (is_collective(i.code) || moved_to_end(r, point.instruction)) {
      // Such a rank computes nothing and waits for no gradient.
      split_here(lowest, transfers, transfers);
    } else if (i.code == opcode::compute && i.op.kind != op_kind::forward) {
      throw invalid_program("rank " + std::to_string(r.value()) + " computes a " +
                            std::string(to_string(i.op.kind)) +
                            " before it has a gradient from anybody");
    }
  }
}

SHUNT_INLINE std::int32_t step_validator::sent_at(rank_id r, std::int32_t n) const {
  return d_.partner[static_cast<std::size_t>(d_.number({r, n}))] - d_.first[at(r, n).peer.index()];
}

SHUNT_INLINE void step_validator::declare(list_rewriter& list, rank_id r) {
  for (auto& s : ranks_[r.index()].steps) {
    list.out.buffers[s.gradient.buffer].persistent = true;
    s.record = list.extend(s.state.buffer, step_record::bytes);
    s.kept_record = list.extend(s.kept.buffer, step_record::bytes);
    s.share = list.extend(s.flag.buffer, gradient_norms::bytes);
    s.prefix = list.extend(s.flag.buffer, gradient_norms::bytes);
    s.words = list.extend(s.flag.buffer, 2 * size_of(element::int64));
  }
  ranks_[r.index()].norms =
      list.extend(ranks_[r.index()].steps.back().flag.buffer, gradient_norms::bytes);
}

SHUNT_INLINE std::int32_t step_validator::pass_norms(list_rewriter& list, rank_id r,
                                                     link const& from, std::vector<link> const& to,
                                                     region const& known,
                                                     std::vector<std::int32_t> const& after) {
  auto const& norms = ranks_[r.index()].norms;
  std::int32_t const has = from.rank < 0 ? list.add({.code = opcode::copy}, {known}, {norms}, after)
                                         : list.add({.code = opcode::receive,
                                                     .lane = from.lane,
                                                     .channel = norms_channel(),
                                                     .peer = from.rank},
                                                    {}, {norms}, after);
  for (link const& l : to)
    list.add({.code = opcode::send, .lane = l.lane, .channel = norms_channel(), .peer = l.rank},
             {norms}, {}, {has});
  return has;
}

SHUNT_INLINE std::int32_t step_validator::lower_rollback(list_rewriter& list, rank_id r,
                                                         std::vector<std::int32_t> const& after) {
  std::int32_t last = none;
  for (auto const& s : ranks_[r.index()].steps)
    last = list.compute({.kind = op_kind::validate_step, .stage = s.stage},
                        validate_step_operands{ranks_[r.index()].norms, s.record, s.words}, after);
  for (auto const& s : ranks_[r.index()].steps) {
    if (is_last(s.stage)) continue;
    if (how_ == rollback::kept_state)
      list.add({.code = opcode::copy}, {s.kept}, {s.state}, {}, s.again());
    last = list.compute({.kind = op_kind::redo_step, .stage = s.stage},
                        redo_step_operands{s.gradient, ranks_[r.index()].norms, s.state, s.record},
                        {}, s.again());
  }
  return last;
}

SHUNT_INLINE void step_validator::lower_opening(list_rewriter& list, rank_id r) {
  auto const& own = ranks_[r.index()];
  for (std::int32_t n = 0; n < own.split; ++n)
    if (!clears_gradient(r, n)) list.move(n);
  auto after_warm_up = list.ends_of_other_lanes(0);
  after_warm_up.push_back(
      pass_norms(list, r, own.from, own.to, own.steps.back().norms_of_record(), {}));
  std::int32_t const anchor = lower_rollback(list, r, after_warm_up);
  std::int32_t const redo = list.regions(std::array{own.steps.front().redo()}).first;
  std::array<bool, 256> tied{};  // lanes that wait for the rollback
  tied[0] = true;
  auto const repeat = [&](instruction& i, std::vector<std::int32_t>& after) {
    i.condition = redo;
    if (i.code == opcode::send || i.code == opcode::receive) i.channel = redo_channel(i.channel);
    if (!std::exchange(tied[i.lane], true)) after.push_back(anchor);
  };
  for (std::int32_t n = 0; n < own.split; ++n)
    if (clears_gradient(r, n)) list.move(n);
  for (std::int32_t n = 0; n < own.split; ++n)
    if (!clears_gradient(r, n))
      list.move(n, [&](instruction& i, auto& after) {
        repeat(i, after);
        if (i.batch >= 0) i.batch += batches_;
      });
  std::vector<std::int32_t> arrived;  // messages of the current batch that may be repeated
  for (std::int32_t n = own.split; n < length(r); ++n) {
    if (moved_to_end(r, n)) continue;
    auto const& i = at(r, n);
    list.move(n);
    if (i.code == opcode::receive && sent_at(r, n) < ranks_[i.peer.index()].split)
      arrived.push_back(n);
    if (i.batch >= 0 && n + 1 < length(r) && at(r, n + 1).batch == i.batch) continue;
    for (auto const m : arrived)
      list.move(m, [&](instruction& again, auto& after) {
        after.push_back(list.place_of(m));
        repeat(again, after);
        again.batch = -1;
      });
    arrived.clear();
  }
}

SHUNT_INLINE void step_validator::lower_steps(list_rewriter& list, rank_id r) {
  auto const& own = ranks_[r.index()];
  auto const step = [&](validated_step const& s, region const& norms, std::int32_t after) {
    list.move(s.keep, [&](auto&, auto& waits) { waits.push_back(after); });
    list.add({.code = opcode::copy}, {s.record}, {s.kept_record});
    list.move(s.step, [&](instruction& i, auto&) {
      validated_step_operands const on{s.gradient, norms, s.state, s.record};
      i.reads = list.regions(on.reads());
      i.writes = list.regions(on.writes());
    });
  };
  std::int32_t last = none;
  for (auto const& s : own.steps) {
    last = list.compute({.kind = op_kind::gradient_norm, .stage = s.stage},
                        gradient_norm_operands{s.gradient, s.flag, s.share}, list.waits_of(s.keep));
    if (s.stage > 0) {
      rank_id const from = neighbour(r, s.stage, s.stage.value() - 1);
      region before = s.prefix;
      std::vector<std::int32_t> after;
      if (from == r)
        before = std::prev(&s)->share;
      else
        after = {list.add(
            {.code = opcode::receive, .lane = transfers, .channel = prefix_channel(), .peer = from},
            {}, {s.prefix})};
      last = list.add({.code = opcode::add, .type = element::float64}, {before, s.share}, {s.share},
                      after);
    }
    if (!is_last(s.stage))
      for (rank_id const to : holders_[s.stage.value() + 1])
        if (to != r && neighbour(to, s.stage.value() + 1, s.stage) == r)
          list.add(
              {.code = opcode::send, .lane = transfers, .channel = prefix_channel(), .peer = to},
              {s.share}, {}, {last});
    if (when_ == validation::in_next_iteration) step(s, s.share, last);
  }
  if (when_ == validation::in_next_iteration) return;
  std::vector<link> below;
  for (rank_id const b : own.below) below.push_back({b, transfers});
  std::int32_t const norms_at =
      pass_norms(list, r, {above(r), transfers}, below, own.steps.back().share, {last});
  for (auto const& s : own.steps) step(s, own.norms, norms_at);
}

SHUNT_INLINE void step_validator::lower_closing(list_rewriter& list, rank_id r) {
  std::vector<link> below;
  for (rank_id const b : ranks_[r.index()].below) below.push_back({b, transfers});
  lower_rollback(list, r,
                 {pass_norms(list, r, {above(r), transfers}, below,
                             ranks_[r.index()].steps.back().norms_of_record(), {})});
}

}  // namespace shunt::detail
