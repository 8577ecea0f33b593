#pragma once
#include "shunt/nccl/detail/rank_operations.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shunt/nccl/detail/staging.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_operations<Api, System, Work>::fold_by_parts(bound& b, instruction const& i,
                                                       std::span<rank_id const> members,
                                                       std::span<std::byte const> whole,
                                                       std::span<std::byte> target, std::size_t n,
                                                       std::size_t used, stream_ref stream) {
  auto const width = static_cast<std::size_t>(size_of(i.type)), count = members.size();
  auto const elements = whole.size() / width;
  auto const begin = [&](std::size_t j) {
    return (elements / count * j + std::min(j, elements % count)) * width;
  };
  auto const self = static_cast<std::size_t>(
      std::find(members.begin(), members.end(), net_.rank()) - members.begin());
  auto const size_of_part = [&](std::size_t j) { return begin(j + 1) - begin(j); };
  auto const mine = size_of_part(self);
  auto const came = [&](std::size_t j) { return b.staged(n, used + j * mine, mine); };
  net_.all_to_all(
      members, [&](std::size_t j) { return whole.subspan(begin(j), size_of_part(j)); }, came,
      stream);
  auto const result = i.code == opcode::all_reduce ? target.subspan(begin(self), mine) : target;
  if (mine > 0) {
    std::vector<std::byte const*> sources;
    for (std::size_t j = 0; j < count; ++j)
      sources.push_back(j == self ? whole.data() + begin(self) : came(j).data());
    // The sources must not change before all are folded.
    auto* const sum = count > 1 ? came(self).data() : result.data();
    for (std::size_t from = 0; from < count;) {
      auto const more = std::min(count - from, most_members_on_streams - 1);
      std::vector<std::byte const*> some(sources.begin() + static_cast<std::ptrdiff_t>(from),
                                         sources.begin() +
                                             static_cast<std::ptrdiff_t>(from + more));
      if (from > 0) some.insert(some.begin(), sum);
      system_.fold(stream, i.type, i.reduce, some, {&sum, 1}, mine, watch_.guard());
      from += more;
    }
    move(stream, {sum, mine}, result, watch_.guard());
  }
  if (i.code == opcode::all_reduce)
    net_.all_to_all(
        members, [&](std::size_t) { return std::span<std::byte const>(result); },
        [&](std::size_t j) { return target.subspan(begin(j), size_of_part(j)); }, stream);
}

template <nccl_library Api, stream_system System, work_on_streams<System> Work>
void rank_operations<Api, System, Work>::exchange(list_run<System>& list, instruction const& i,
                                                  rank_program const& own, std::size_t n,
                                                  stream_ref stream) {
  auto& b = *list.what;
  auto const& members = b.of->groups[i.group];
  auto const count = members.size();
  auto const self = static_cast<std::size_t>(
      std::find(members.begin(), members.end(), net_.rank()) - members.begin());
  auto const out = b.buffers[own.reads(i)[0]], counts_out = b.buffers[own.reads(i)[1]];
  auto const in = b.buffers[own.writes(i)[0]], counts_in = b.buffers[own.writes(i)[1]];
  auto const from = out.size() / count, to = in.size() / count, width = std::min(from, to);
  auto const behind =
      static_cast<std::size_t>(nccl_staging::aligned(static_cast<std::int64_t>(out.size())));
  auto const part = [&](std::size_t j) { return b.staged(n, j * width, width); };
  auto const counted = [&](std::size_t j) {
    return b.staged(n, behind + j * word_size, word_size);
  };
  auto const word_of = [](std::span<std::byte> s, std::size_t j) {
    return s.subspan(j * word_size, word_size);
  };
  net_.all_to_all(members, [&](std::size_t j) { return word_of(counts_out, j); }, counted, stream);
  net_.all_to_all(
      members, [&](std::size_t j) { return out.subspan(j * from, width); }, part, stream);
  std::vector<stream_part> parts;
  for (std::size_t j = 0; j < count; ++j) {
    auto const source = j == self ? out.subspan(j * from, width) : part(j);
    auto const length = j == self ? word_of(counts_out, j) : counted(j);
    parts.push_back({.from = source.data(),
                     .to = in.data() + j * to,
                     .bytes = static_cast<std::int64_t>(width),
                     .count = reinterpret_cast<std::int64_t const*>(length.data()),
                     .count_to = reinterpret_cast<std::int64_t*>(word_of(counts_in, j).data()),
                     .refused = b.word(b.stage.overflow[n] + static_cast<std::int64_t>(j))});
  }
  system_.move(stream, parts, allowed(b, i, n, stream));
  auto const at = b.stage.overflow[n], words = static_cast<std::int64_t>(count);
  system_.copy_to_host(stream, b.words_at(at, words), list.words_at(at, words));
}

}  // namespace shunt::detail
