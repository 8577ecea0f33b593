#pragma once
#include "shunt/io/detail/pytorch_transfers.hpp"

#include <algorithm>
#include <string>

#include "shunt/core/config.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/io/pytorch_action.hpp"

namespace shunt::detail {

SHUNT_INLINE pytorch_transfers::pytorch_transfers(pytorch_table const& table) : table_(table) {
  for (auto const& row : table.rows()) other_end_.emplace_back(row.size());
}

SHUNT_INLINE void pytorch_transfers::check() {
  all_transferred();
  run(false);
  run(true);
}

SHUNT_INLINE void pytorch_transfers::check_waits() const {
  auto const follows = [&](place sent, place wait) {
    if (sent.found() && !wait.found())
      table_.refuse(sent, "has no wait, which torch demands since " +
                              std::string(to_string(pytorch_release::v2_15)));
    if (wait.found() && !sent.found()) table_.refuse(wait, "waits for a send that isn't there");
    if (wait.found() && wait.index < sent.index) table_.refuse(wait, "stands before its send");
  };
  for (stage_id s : ids<stage_id>(table_.stages()))
    for (microbatch_id m : ids<microbatch_id>(table_.microbatches())) {
      pytorch_table::cell const& c = table_.of(s, m);
      follows(c.send_f, c.wait_f);
      follows(c.send_b, c.wait_b);
    }
  using kind = pytorch_action::kind;
  for (std::size_t row = 0; row < table_.rows().size(); ++row) {
    place pending;
    auto const& actions = table_.rows()[row];
    for (std::size_t i = 0; i < actions.size(); ++i) {
      auto const& a = actions[i].action;
      place const here{row, static_cast<std::int64_t>(i)};
      if (a.what == kind::reduce_grad) {
        if (pending.found())
          table_.refuse(here, "begins before the wait for \"" + to_string(table_[pending].action) +
                                  "\", and torch has one reduction in progress");
        pending = here;
      } else if (a.what == kind::wait_reduce_grad) {
        if (!pending.found() || table_[pending].action.stage != a.stage)
          table_.refuse(here, "waits for a reduction that isn't in progress");
        pending = {};
      }
    }
    if (pending.found())
      table_.refuse(pending, "has no wait, which torch demands since " +
                                 std::string(to_string(pytorch_release::v2_15)));
  }
}

SHUNT_INLINE void pytorch_transfers::message(place made, place send, place recv, place used,
                                             char const* direction) {
  auto const spelled = [&](char const* what, pytorch_action const& a) {
    return std::to_string(a.stage.value()) + what + direction +
           std::to_string(a.microbatch.value());
  };
  bool const needed = made.row != used.row;
  for (place const& p : {send, recv})
    if (!needed && p.found()) table_.refuse(p, "goes from a rank to itself");
  if (!needed) return;
  if (!send.found())
    table_.refuse(made,
                  "is never sent on: " + spelled("SEND_", table_[made].action) + " is missing");
  if (!recv.found())
    table_.refuse(used,
                  "never gets its input: " + spelled("RECV_", table_[used].action) + " is missing");
  if (send.index < made.index) table_.refuse(send, "stands before what it sends");
  if (recv.index > used.index) table_.refuse(recv, "stands behind what needs it");
  other_end_[recv.row][static_cast<std::size_t>(recv.index)] = send;
  other_end_[send.row][static_cast<std::size_t>(send.index)] = recv;
  sent_[{made.row, used.row}].emplace_back(send.index, recv.index);
}

SHUNT_INLINE void pytorch_transfers::all_transferred() {
  for (stage_id s : ids<stage_id>(table_.stages()))
    for (microbatch_id m : ids<microbatch_id>(table_.microbatches())) {
      pytorch_table::cell const& here = table_.of(s, m);
      if (s.value() == 0 && here.recv_f.found())
        table_.refuse(here.recv_f, "has nobody to receive from");
      if (s.value() == 0 && here.send_b.found())
        table_.refuse(here.send_b, "has nobody to send to");
      if (s.value() + 1 == table_.stages()) {
        if (here.send_f.found()) table_.refuse(here.send_f, "has nobody to send to");
        if (here.recv_b.found()) table_.refuse(here.recv_b, "has nobody to receive from");
        continue;
      }
      pytorch_table::cell const& next = table_.of(s.value() + 1, m);
      message(here.forward, here.send_f, next.recv_f, next.forward, "F");
      message(next.gradient, next.send_b, here.recv_b, here.gradient, "B");
    }
  for (auto& [pair, messages] : sent_) {
    std::sort(messages.begin(), messages.end());
    for (std::size_t i = 1; i < messages.size(); ++i)
      if (messages[i].second < messages[i - 1].second)
        table_.refuse({pair.second, messages[i].second},
                      "is received before another message that row " +
                          std::to_string(pair.first + 1) + " sends earlier");
  }
}

SHUNT_INLINE void pytorch_transfers::run(bool rendezvous) const {
  std::vector<std::int64_t> next(other_end_.size(), 0);
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t row = 0; row < other_end_.size(); ++row)
      for (auto& i = next[row]; i < static_cast<std::int64_t>(other_end_[row].size());
           ++i, moved = true) {
        place const other = other_end_[row][static_cast<std::size_t>(i)];
        if (!other.found()) continue;
        auto& reached = next[other.row];
        if (rendezvous) {
          if (reached < other.index) break;
          ++reached;  // both ends at once
        } else if (table_[{row, i}].action.receives() && reached <= other.index) {
          break;
        }
      }
  }
  for (std::size_t row = 0; row < other_end_.size(); ++row)
    if (next[row] < static_cast<std::int64_t>(other_end_[row].size()))
      refuse_cycle(next, rendezvous);
}

SHUNT_INLINE void pytorch_transfers::refuse_cycle(std::vector<std::int64_t> const& next,
                                                  bool rendezvous) const {
  auto const rows = other_end_.size();
  auto const stuck_at = [&](std::size_t row) {
    return other_end_[row][static_cast<std::size_t>(next[row])];
  };
  std::size_t first = 0;
  while (next[first] == static_cast<std::int64_t>(other_end_[first].size())) ++first;
  // A row that is stuck waits for one that is stuck; after as many steps as rows it is on the
  // cycle.
  for (std::size_t i = 0; i < rows; ++i) first = stuck_at(first).row;
  std::size_t lowest = first;
  for (auto row = stuck_at(first).row; row != first; row = stuck_at(row).row)
    lowest = std::min(lowest, row);
  first = lowest;
  std::string why = "waits forever";
  if (rendezvous) why += " where a send waits for its receive";
  why += ": it";
  auto row = first;
  do {
    place const other = stuck_at(row), before{other.row, next[other.row]};
    auto const& [action, column, pair] = table_[before];
    why += (row == first ? " needs " : ", which needs ") + to_string(table_[other].action) +
           ", which stands behind \"" + to_string(action) + '"';
    if (other.row != first)
      why +=
          " (row " + std::to_string(other.row + 1) + ", column " + std::to_string(column + 1) + ")";
    row = other.row;
  } while (row != first);
  table_.refuse({first, next[first]}, why);
}

}  // namespace shunt::detail
