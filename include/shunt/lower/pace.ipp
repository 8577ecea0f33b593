#pragma once
#include "shunt/lower/pace.hpp"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/operation.hpp"

namespace shunt::detail {

// Adds instructions of one rank at both ends of its list.
class pace_writer {
 public:
  explicit pace_writer(rank_program& own) : own_(own) {}

  [[nodiscard]] buffer_id buffer(byte_count size) {
    own_.buffers.push_back({.size = size});
    return buffer_id(own_.buffers.size() - 1);
  }
  void compute(std::vector<region> const& reads, std::vector<region> const& writes) {
    add({.op = {.kind = op_kind::pace}, .reads = put(reads), .writes = put(writes)});
  }
  void send(rank_id to, region const& what, std::int32_t channel) {
    add({.code = opcode::send, .channel = channel, .peer = to, .reads = put({what})});
  }
  void receive(rank_id from, region const& what, std::int32_t channel) {
    add({.code = opcode::receive, .channel = channel, .peer = from, .writes = put({what})});
  }
  // Puts what was added so far before all other instructions.
  void to_front() {
    auto const added = static_cast<std::int32_t>(added_.size());
    for (auto& w : own_.waits) w += added;
    own_.instructions.insert(own_.instructions.begin(), added_.begin(), added_.end());
    added_.clear();
  }
  void to_back() {
    own_.instructions.insert(own_.instructions.end(), added_.begin(), added_.end());
  }

 private:
  [[nodiscard]] slice put(std::vector<region> const& regions) {
    slice const s{static_cast<std::int32_t>(own_.regions.size()),
                  static_cast<std::int32_t>(regions.size())};
    own_.regions.insert(own_.regions.end(), regions.begin(), regions.end());
    return s;
  }
  void add(instruction const& i) { added_.push_back(i); }

  rank_program& own_;
  std::vector<instruction> added_{};
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE program with_pace(program iteration, rank_id judge, pace_sizes const& sizes,
                               std::span<rank_id const> beside) {
  std::vector<rank_id> all;
  std::int32_t channel = 0;  // of its own
  for (rank_id const r : ids<rank_id>(iteration.ranks.size())) {
    auto const& list = iteration.ranks[r].instructions;
    if (!list.empty() || std::find(beside.begin(), beside.end(), r) != beside.end())
      all.push_back(r);
    for (instruction const& i : list) channel = std::max(channel, i.channel + 1);
  }
  if (std::find(all.begin(), all.end(), judge) == all.end())
    throw invalid_program("rank " + std::to_string(judge.value()) +
                          " is to judge the pace of an iteration in which it takes no part");
  for (rank_id const r : all) {
    detail::pace_writer to(iteration.ranks[r]);
    bool const judges = r == judge;
    auto const reports =
        to.buffer(sizes.report * (judges ? static_cast<byte_count>(all.size()) : 1));
    region const verdict{to.buffer(sizes.verdict), 0, sizes.verdict};
    std::vector<region> parts;  // of the reports
    for (std::size_t n = 0; n < (judges ? all.size() : 1); ++n)
      parts.push_back({reports, static_cast<byte_count>(n) * sizes.report, sizes.report});
    auto const mine =
        judges ? static_cast<std::size_t>(std::find(all.begin(), all.end(), r) - all.begin()) : 0;
    if (judges) {
      to.compute({}, {parts[mine], verdict});
      for (rank_id const other : all)
        if (other != judge) to.send(other, verdict, channel);
    } else {
      to.compute({}, {parts[mine]});
      to.send(judge, parts[mine], channel);
    }
    to.to_front();
    std::vector<region> heard{verdict};
    if (judges) {
      for (std::size_t n = 0; n < all.size(); ++n)
        if (n != mine) to.receive(all[n], parts[n], channel);
      heard.insert(heard.end(), parts.begin(), parts.end());
    } else {
      to.receive(judge, verdict, channel);
    }
    to.compute(heard, {});
    to.to_back();
  }
  return iteration;
}

}  // namespace shunt
