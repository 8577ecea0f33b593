#pragma once
#include "shunt/program/builder.hpp"

#include <algorithm>
#include <cstddef>

namespace shunt {

SHUNT_CONSTEXPR program_builder::program_builder(std::int32_t ranks) {
  program_.ranks.resize(static_cast<std::size_t>(ranks));
}

SHUNT_CONSTEXPR std::int32_t program_builder::ranks() const {
  return static_cast<std::int32_t>(program_.ranks.size());
}

SHUNT_CONSTEXPR std::int32_t program_builder::size(rank_id r) const {
  return static_cast<std::int32_t>(program_.ranks[r].instructions.size());
}

SHUNT_CONSTEXPR buffer_id program_builder::buffer(rank_id r, byte_count size, bool persistent) {
  program_.ranks[r].buffers.push_back({size, persistent});
  return program_.ranks[r].buffers.size() - 1;
}

SHUNT_CONSTEXPR void program_builder::buffer(rank_id r, buffer_id at, byte_count size,
                                             bool persistent) {
  auto& table = program_.ranks[r].buffers;
  if (table.size() <= at.index()) table.resize(at.index() + 1);
  table[at] = {size, persistent};
}

SHUNT_CONSTEXPR region program_builder::all_of(rank_id r, buffer_id b) const {
  return {b, 0, program_.ranks[r].buffers[b].size};
}

SHUNT_CONSTEXPR group_id program_builder::group(std::vector<rank_id> members) {
  auto const& known = program_.groups.items();
  if (auto const at = std::find(known.begin(), known.end(), members); at != known.end())
    return at - known.begin();
  program_.groups.push_back(std::move(members));
  return program_.groups.size() - 1;
}

SHUNT_CONSTEXPR std::int32_t program_builder::compute(rank_id r, operation const& op, regions reads,
                                                      regions writes, placing const& at) {
  instruction i{.code = opcode::compute, .op = op};
  return append(r, i, reads, writes, at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::compute(rank_id r, operation const& op,
                                                      std::initializer_list<region> reads,
                                                      std::initializer_list<region> writes,
                                                      placing const& at) {
  return compute(r, op, regions(reads.begin(), reads.size()),
                 regions(writes.begin(), writes.size()), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::send(rank_id r, rank_id to, region const& message,
                                                   std::int32_t channel, placing const& at) {
  instruction i{.code = opcode::send, .channel = channel, .peer = to};
  return append(r, i, one(message), {}, at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::receive(rank_id r, rank_id from,
                                                      region const& message, std::int32_t channel,
                                                      placing const& at) {
  instruction i{.code = opcode::receive, .channel = channel, .peer = from};
  return append(r, i, {}, one(message), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::copy(rank_id r, region const& source,
                                                   region const& target, placing const& at) {
  return append(r, {.code = opcode::copy}, one(source), one(target), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::add(rank_id r, element type, region const& source,
                                                  region const& target, placing const& at) {
  region const both[] = {source, target};
  instruction i{.code = opcode::add, .type = type};
  return append(r, i, both, one(target), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::fill(rank_id r, region const& target,
                                                   placing const& at) {
  return append(r, {.code = opcode::fill}, {}, one(target), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::all_reduce(rank_id r, group_id g, element type,
                                                         reduction reduce, region const& own,
                                                         placing const& at) {
  instruction i{.code = opcode::all_reduce, .type = type, .reduce = reduce, .group = g};
  return append(r, i, one(own), one(own), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::reduce_scatter(rank_id r, group_id g, element type,
                                                             reduction reduce, region const& whole,
                                                             region const& part,
                                                             placing const& at) {
  instruction i{.code = opcode::reduce_scatter, .type = type, .reduce = reduce, .group = g};
  return append(r, i, one(whole), one(part), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::all_gather(rank_id r, group_id g, region const& part,
                                                         region const& whole, placing const& at) {
  instruction i{.code = opcode::all_gather, .group = g};
  return append(r, i, one(part), one(whole), at);
}

SHUNT_CONSTEXPR std::int32_t program_builder::exchange(rank_id r, group_id g,
                                                       region const& payload_out,
                                                       region const& counts_out,
                                                       region const& payload_in,
                                                       region const& counts_in, placing const& at) {
  region const out[] = {payload_out, counts_out};
  region const in[] = {payload_in, counts_in};
  instruction i{.code = opcode::exchange, .group = g};
  return append(r, i, out, in, at);
}

SHUNT_CONSTEXPR void program_builder::message(rank_id from, region const& source, rank_id to,
                                              region const& target, std::int32_t channel,
                                              placing const& at) {
  if (from == to) {
    copy(from, source, target, at);
  } else {
    send(from, to, source, channel, at);
    receive(to, from, target, channel, at);
  }
}

SHUNT_CONSTEXPR slice program_builder::put(std::vector<region>& table, regions items) {
  slice const s{static_cast<std::int32_t>(table.size()), static_cast<std::int32_t>(items.size())};
  table.insert(table.end(), items.begin(), items.end());
  return s;
}

SHUNT_CONSTEXPR std::int32_t program_builder::append(rank_id r, instruction i, regions reads,
                                                     regions writes, placing const& at) {
  auto& rank = program_.ranks[r];
  i.lane = at.lane;
  i.batch = at.batch;
  i.reads = put(rank.regions, reads);
  i.writes = put(rank.regions, writes);
  i.after = {static_cast<std::int32_t>(rank.waits.size()),
             static_cast<std::int32_t>(at.after.size())};
  rank.waits.insert(rank.waits.end(), at.after.begin(), at.after.end());
  if (at.condition.size > 0) i.condition = put(rank.regions, one(at.condition)).first;
  rank.instructions.push_back(i);
  return static_cast<std::int32_t>(rank.instructions.size()) - 1;
}

}  // namespace shunt
