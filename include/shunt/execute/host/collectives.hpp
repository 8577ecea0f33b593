#pragma once
/// Collectives over any transport, made of its sends and receives. With n members and b bytes a
/// member, each member sends 2b(n-1)/n bytes in two rounds for all_reduce, b(n-1)/n in one round
/// for reduce_scatter and all_gather, and the counted bytes in one round for exchange.
///
/// Every element is a left fold in the group's order on every member, so results do not depend on
/// timing. Sends must be buffered: a member sends all messages of a round before it receives.
///
/// All functions throw what the transport throws. Every member of the group calls the same one.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/execute/elements.hpp"
#include "shunt/execute/transport.hpp"

namespace shunt::detail {

/// A group as one of its members sees it. All traffic runs on one channel, reserved for the group.
template <transport Transport>
struct membership {
  Transport& net;
  std::span<rank_id const> members;
  std::size_t self;  ///< index of this rank in `members`
  std::int32_t channel;
  std::vector<std::byte>& scratch;  ///< any size, any content

  [[nodiscard]] std::size_t size() const { return members.size(); }
  void send(std::size_t to, std::span<std::byte const> out) const {
    if (!out.empty()) net.send(members[to], channel, out);
  }
  void receive(std::size_t from, std::span<std::byte> in) const {
    if (!in.empty()) net.receive(members[from], channel, in);
  }
};

/// Receives all contributions to one part and folds them with `own` into `target`, which may be
/// `own` itself.
template <class Membership>
void fold_part(Membership const& m, element type, reduction how, std::span<std::byte const> own,
               std::span<std::byte> target) {
  m.scratch.resize(2 * own.size());
  auto const sum = std::span(m.scratch).first(own.size()),
             next = std::span(m.scratch).last(own.size());
  for (std::size_t from = 0; from < m.size(); ++from) {
    auto const into = from == 0 ? sum : next;
    if (from == m.self)
      std::copy(own.begin(), own.end(), into.begin());
    else
      m.receive(from, into);
    if (from != 0) accumulate(type, how, sum, next);
  }
  std::copy(sum.begin(), sum.end(), target.begin());
}

/// Makes every member's `own` the reduction of all of them. Member j reduces the j-th of n parts,
/// of sizes that differ by at most one element.
template <transport Transport>
void all_reduce(membership<Transport> const& m, element type, reduction how,
                std::span<std::byte> own) {
  auto const width = static_cast<std::size_t>(size_of(type));
  auto const elements = own.size() / width;
  auto const part = [&](std::size_t j) {
    auto const begin = [&](std::size_t k) {
      return elements / m.size() * k + std::min(k, elements % m.size());
    };
    return own.subspan(begin(j) * width, (begin(j + 1) - begin(j)) * width);
  };
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.send(j, part(j));
  fold_part(m, type, how, part(m.self), part(m.self));
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.send(j, part(m.self));
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.receive(j, part(j));
}

/// Makes `part` the reduction of all members' parts at this member's index. It may be that part of
/// `whole`.
template <transport Transport>
void reduce_scatter(membership<Transport> const& m, element type, reduction how,
                    std::span<std::byte const> whole, std::span<std::byte> part) {
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.send(j, whole.subspan(j * part.size(), part.size()));
  fold_part(m, type, how, whole.subspan(m.self * part.size(), part.size()), part);
}

/// Makes part j of `whole` member j's `part`, which may be its own part of `whole`.
template <transport Transport>
void all_gather(membership<Transport> const& m, std::span<std::byte const> part,
                std::span<std::byte> whole) {
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.send(j, part);
  if (auto const own = whole.subspan(m.self * part.size(), part.size()); own.data() != part.data())
    std::copy(part.begin(), part.end(), own.begin());
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) m.receive(j, whole.subspan(j * part.size(), part.size()));
}

/// Returns the j-th of the counts in a buffer of int64.
/// Throws invalid_program unless it is in 0 .. capacity.
[[nodiscard]] std::size_t count_at(std::span<std::byte const> counts, std::size_t j,
                                   std::size_t capacity, rank_id rank);

/// Sends the first counts_out[j] bytes of part j of `out` to this member's part of member j's `in`.
/// counts_in[j] becomes the number of bytes from member j.
/// Throws invalid_program, before anything is sent, where a count is negative or beyond its part.
template <transport Transport>
void exchange(membership<Transport> const& m, std::span<std::byte const> out,
              std::span<std::byte const> counts_out, std::span<std::byte> in,
              std::span<std::byte> counts_in) {
  auto const capacity_out = out.size() / m.size(), capacity_in = in.size() / m.size();
  rank_id const here = m.members[m.self];
  constexpr std::size_t word = sizeof(std::int64_t);
  for (std::size_t j = 0; j < m.size(); ++j) (void)count_at(counts_out, j, capacity_out, here);
  for (std::size_t j = 0; j < m.size(); ++j)
    if (j != m.self) {
      m.send(j, counts_out.subspan(j * word, word));
      m.send(j, out.subspan(j * capacity_out, count_at(counts_out, j, capacity_out, here)));
    }
  for (std::size_t j = 0; j < m.size(); ++j) {
    auto const count = counts_in.subspan(j * word, word);
    if (j == m.self) {
      std::memcpy(count.data(), counts_out.data() + j * word, word);
      auto const own = out.subspan(
          j * capacity_out, count_at(counts_in, j, std::min(capacity_in, capacity_out), here));
      std::copy(own.begin(), own.end(), in.subspan(j * capacity_in).begin());
    } else {
      m.receive(j, count);
      m.receive(j, in.subspan(j * capacity_in, count_at(counts_in, j, capacity_in, here)));
    }
  }
}

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/execute/host/collectives.ipp"
#endif
