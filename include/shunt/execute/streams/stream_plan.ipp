#pragma once
#include "shunt/execute/streams/stream_plan.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/execute/stream_system.hpp"

namespace shunt::detail {

// What a device would not survive: messages and collectives whose sizes differ, elements and words
// where they can't be addressed.
SHUNT_INLINE void require_fit(program const& p, dependencies const& d) {
  std::int32_t number = 0;
  for (rank_id const r : ids<rank_id>(p.ranks.size())) {
    auto const& own = p.ranks[r];
    for (std::int32_t n = 0; n < static_cast<std::int32_t>(own.instructions.size());
         ++n, ++number) {
      auto const& i = own.instructions[static_cast<std::size_t>(n)];
      auto const partner = d.partner[static_cast<std::size_t>(number)];
      auto const refuse = [&](std::string const& why) {
        throw invalid_program("rank " + std::to_string(r.value()) + ", instruction " +
                              std::to_string(n) + ": " + why);
      };
      auto const need = [&](std::span<region const> regions, byte_count multiple) {
        for (region const& x : regions)
          if (x.offset % multiple != 0 || x.size % multiple != 0)
            refuse("a device can't address bytes [" + std::to_string(x.offset) + ", +" +
                   std::to_string(x.size) + ") of buffer " + std::to_string(x.buffer.value()) +
                   " as elements of " + std::to_string(multiple));
      };
      constexpr byte_count word = sizeof(std::int64_t);
      need(own.condition(i), word);
      switch (i.code) {
        case opcode::add:
        case opcode::all_reduce:
        case opcode::reduce_scatter:
          need(own.reads(i), size_of(i.type)), need(own.writes(i), size_of(i.type));
          break;
        case opcode::exchange:
          need(own.reads(i).subspan(1, 1), word), need(own.writes(i).subspan(1, 1), word);
          break;
        default: break;
      }
      if ((i.code == opcode::copy || i.code == opcode::add) &&
          own.reads(i)[0].size != own.writes(i)[0].size)
        refuse("source and target differ in size");
      if (i.code == opcode::receive && partner != dependencies::none) {
        auto const& sender = p.ranks[i.peer];
        auto const sent =
            sender
                .reads(
                    sender.instructions[static_cast<std::size_t>(d.point(partner).instruction)])[0]
                .size;
        if (sent != own.writes(i)[0].size)
          throw invalid_program("rank " + std::to_string(r.value()) + " receives " +
                                std::to_string(sent) + " bytes, not " +
                                std::to_string(own.writes(i)[0].size));
      }
      if (!is_collective(i.code) || partner == dependencies::none) continue;
      auto const& group = p.groups[i.group];
      if (group.size() > most_members_on_streams)
        refuse("a group of " + std::to_string(group.size()) + " ranks on one device");
      auto const first = d.members_of(d.collectives[static_cast<std::size_t>(partner)])[0];
      if (first == dependencies::none) continue;
      auto const& other = p.ranks[group[0]];
      auto const& j = other.instructions[static_cast<std::size_t>(d.point(first).instruction)];
      if (i.code != j.code || own.reads(i)[0].size != other.reads(j)[0].size ||
          own.writes(i)[0].size != other.writes(j)[0].size)
        throw invalid_program("the members of group " + std::to_string(i.group.value()) +
                              " call for different collectives");
    }
  }
}

class stream_planner {
 public:
  stream_planner(program const& p, dependencies const& d, std::vector<program_point> const& order)
      : p_(p), d_(d), order_(order) {}

  stream_plan operator()() && {
    auto const count = d_.partner.size();
    name_streams();
    out_.spans.assign(count, {});
    place_messages();
    place_words();
    marks_.assign(count, {});
    remaining_.clear();
    for (rank_id const r : ids<rank_id>(p_.ranks.size())) {
      remaining_.push_back(static_cast<std::int32_t>(p_.ranks[r].instructions.size()));
      if (remaining_.back() > 0) continue;
      put(code::begin, r.value(), r.value());
      put(code::end, r.value(), r.value());
    }
    for (std::size_t k = 0; k < order_.size();) {
      auto const partner = d_.partner[static_cast<std::size_t>(d_.number(order_[k]))];
      if (is_collective(what(order_[k]).code)) {
        auto const n = static_cast<std::size_t>(
            d_.collectives[static_cast<std::size_t>(partner)].members.count);
        run_collective(std::span(order_).subspan(k, n));
        k += n;
      } else {
        single(order_[k], partner);
        ++k;
      }
    }
    drop_unused();
    return std::move(out_);
  }

 private:
  using code = stream_command::code;
  static constexpr std::int32_t none = stream_plan::none;

  // A point in a stream that can be waited for. What its stream knew there is a row of
  // `known_at_`.
  struct mark {
    std::int32_t stream = none, position = 0, event = none;
  };

  [[nodiscard]] instruction const& what(program_point at) const {
    return p_.ranks[at.rank].instructions[static_cast<std::size_t>(at.instruction)];
  }

  void name_streams() {
    for (rank_id const r : ids<rank_id>(p_.ranks.size())) out_.streams.push_back({r, 0});
    lane_of_.resize(p_.ranks.size());
    lanes_.resize(p_.ranks.size());
    begin_.resize(p_.ranks.size());
    for (rank_id const r : ids<rank_id>(p_.ranks.size())) {
      auto& lanes = lane_of_[r.index()];
      lanes.fill(none);
      lanes[0] = r.value();
      for (auto const& i : p_.ranks[r].instructions)
        if (lanes[i.lane] == none) {
          lanes[i.lane] = static_cast<std::int32_t>(out_.streams.size());
          out_.streams.push_back({r, i.lane});
          lanes_[r.index()].push_back(lanes[i.lane]);
        }
    }
    auto const s = out_.streams.size();
    known_.assign(s, std::vector<std::int32_t>(s, 0));
    position_.assign(s, 0);
    last_.assign(s, {});
    last_stamp_.assign(s, none);
  }

  void place_messages() {
    out_.message_at.assign(d_.partner.size(), none);
    std::size_t number = 0;
    for (auto const& own : p_.ranks)
      for (auto const& i : own.instructions) {
        if (i.code == opcode::send) {
          out_.message_at[number] = out_.message_bytes;
          if (auto const partner = d_.partner[number]; partner != dependencies::none)
            out_.message_at[static_cast<std::size_t>(partner)] = out_.message_bytes;
          constexpr byte_count line = 256;  // what devices like their memory aligned to
          out_.message_bytes += ceil_divide(own.reads(i)[0].size, line) * line;
        }
        ++number;
      }
  }

  void place_words() {
    out_.word_at.assign(d_.partner.size(), none);
    out_.overflow_at.assign(d_.partner.size(), none);
    std::int32_t words = 0;
    std::size_t number = 0;
    for (auto const& own : p_.ranks) {
      out_.first_word.push_back(words);
      for (auto const& i : own.instructions) {
        if (i.condition >= 0) out_.word_at[number] = words++;
        if (i.code == opcode::exchange && leads(number)) {
          auto const n = static_cast<std::int32_t>(p_.groups[i.group].size());
          out_.overflow_at[number] = words;
          words += n * n;
        }
        ++number;
      }
    }
    out_.first_word.push_back(words);
  }

  [[nodiscard]] bool leads(std::size_t number) const {
    auto const partner = d_.partner[number];
    return partner != dependencies::none &&
           d_.members_of(d_.collectives[static_cast<std::size_t>(partner)])[0] ==
               static_cast<std::int32_t>(number);
  }

  void put(code c, std::int32_t stream, std::int32_t what) {
    out_.commands.push_back({c, stream, what});
  }

  // Names this point of a stream.
  mark mark_here(std::int32_t stream) {
    auto const s = static_cast<std::size_t>(stream);
    mark const here{stream, ++position_[s], static_cast<std::int32_t>(known_at_.size())};
    known_[s][s] = here.position;
    known_at_.push_back(known_[s]);
    used_.push_back(false);
    put(code::record, stream, here.event);
    return last_[s] = here;
  }

  [[nodiscard]] bool knows(std::int32_t stream, mark const& m) const {
    return known_[static_cast<std::size_t>(stream)][static_cast<std::size_t>(m.stream)] >=
           m.position;
  }

  // Returns whether the stream had to be told to wait.
  bool wait(std::int32_t stream, mark const& m) {
    if (m.stream == none || knows(stream, m)) return false;
    put(code::wait, stream, m.event);
    used_[static_cast<std::size_t>(m.event)] = true;
    auto& known = known_[static_cast<std::size_t>(stream)];
    auto const& then = known_at_[static_cast<std::size_t>(m.event)];
    for (std::size_t s = 0; s < known.size(); ++s) known[s] = std::max(known[s], then[s]);
    return true;
  }

  std::int32_t stamp(std::int32_t stream) {
    put(code::stamp, stream, out_.stamps);
    return last_stamp_[static_cast<std::size_t>(stream)] = out_.stamps++;
  }

  // Everything up to an instruction's start, but for what it waits for from other ranks.
  std::int32_t start(program_point at) {
    auto const r = at.rank.index();
    auto const number = d_.number(at);
    auto const main = at.rank.value();
    auto const& i = what(at);
    auto const stream = lane_of_[r][i.lane];
    if (begin_[r].stream == none) {
      put(code::begin, main, at.rank.value());
      stamp(main);
      begin_[r] = mark_here(main);
    }
    bool waited = wait(stream, begin_[r]);
    auto const after = p_.ranks[at.rank].after(i);
    for (auto w = after.rbegin(); w != after.rend(); ++w)  // later ones know more
      waited = wait(stream, marks_[static_cast<std::size_t>(d_.number({at.rank, *w}))]) || waited;
    auto& span = out_.spans[static_cast<std::size_t>(number)];
    span.start = waited ? stamp(stream) : last_stamp_[static_cast<std::size_t>(stream)];
    if (i.condition >= 0) put(code::keep, stream, number);
    return stream;
  }

  void end(program_point at, std::int32_t stream) {
    auto const number = static_cast<std::size_t>(d_.number(at));
    out_.spans[number].end = stamp(stream);
    marks_[number] = mark_here(stream);
    auto const r = at.rank.index();
    auto const main = at.rank.value();
    if (--remaining_[r] > 0) return;
    for (auto const other : lanes_[r]) wait(main, last_[static_cast<std::size_t>(other)]);
    put(code::end, main, main);
  }

  void single(program_point at, std::int32_t partner) {
    auto const stream = start(at);
    auto const number = d_.number(at);
    auto const c = what(at).code;
    if (c == opcode::send && partner != dependencies::none)
      put(code::wait_previous, stream, number);  // settled by drop_unused
    if (c == opcode::receive) wait(stream, marks_[static_cast<std::size_t>(partner)]);
    put(code::perform, stream, number);
    end(at, stream);
  }

  void run_collective(std::span<program_point const> members) {
    std::vector<std::int32_t> streams;
    std::vector<mark> arrived;
    for (auto const at : members) {
      streams.push_back(start(at));
      if (members.size() > 1)
        arrived.push_back(streams.size() > 1 ? mark_here(streams.back()) : mark{});
    }
    for (auto const& m : arrived) wait(streams[0], m);
    put(code::perform, streams[0], d_.number(members[0]));
    auto const done = members.size() > 1 ? mark_here(streams[0]) : mark{};
    for (std::size_t k = 0; k < members.size(); ++k) {
      wait(streams[k], done);
      end(members[k], streams[k]);
    }
  }

  // Leaves out records that nobody waits for and waits on the previous run that its end made
  // needless; numbers events anew.
  void drop_unused() {
    auto const receive_of = [&](stream_command const& c) {
      return marks_[static_cast<std::size_t>(d_.partner[static_cast<std::size_t>(c.what)])];
    };
    auto const needless = [&](stream_command const& c) {  // the sender's list never ends before the
                                                          // message was received
      return knows(d_.point(c.what).rank.value(), receive_of(c));
    };
    std::erase_if(out_.commands, [&](stream_command const& c) {
      return c.todo == code::wait_previous && needless(c);
    });
    for (auto& c : out_.commands)
      if (c.todo == code::wait_previous) {
        c.what = receive_of(c).event;
        used_[static_cast<std::size_t>(c.what)] = true;
      }
    std::erase_if(out_.commands, [&](stream_command const& c) {
      return c.todo == code::record && !used_[static_cast<std::size_t>(c.what)];
    });
    std::vector<std::int32_t> renamed(used_.size(), none);
    for (std::size_t e = 0; e < used_.size(); ++e)
      if (used_[e]) renamed[e] = out_.events++;
    for (auto& c : out_.commands)
      if (c.todo == code::record || c.todo == code::wait || c.todo == code::wait_previous)
        c.what = renamed[static_cast<std::size_t>(c.what)];
  }

  program const& p_;
  dependencies const& d_;
  std::vector<program_point> const& order_;
  stream_plan out_{};
  std::vector<std::array<std::int32_t, 256>> lane_of_{};  // by rank and lane: its stream
  std::vector<std::vector<std::int32_t>> lanes_{};        // by rank: its streams but the main one
  std::vector<mark> begin_{};                             // by rank
  std::vector<mark> marks_{};                             // by number: its end
  std::vector<mark> last_{};                              // by stream
  std::vector<std::int32_t> last_stamp_{};                // by stream
  std::vector<std::int32_t> position_{};                  // by stream: marks so far
  std::vector<std::vector<std::int32_t>>
      known_{};  // by stream: how far it knows every stream to be
  std::vector<std::vector<std::int32_t>> known_at_{};  // by mark
  std::vector<bool> used_{};                           // by mark
  std::vector<std::int32_t> remaining_{};              // by rank
};

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE stream_plan plan_streams(program const& p, dependencies const& d,
                                      std::vector<program_point> const& order) {
  detail::require_fit(p, d);
  return detail::stream_planner(p, d, order)();
}

}  // namespace shunt
