#pragma once
/// Programs and timelines as JSON. Regions are [buffer, offset, size], slices [first, count]; an
/// instruction lists what differs from the default.
/// What was written reads back equal.
/// Throws (read) invalid_problem, which names the path of what does not fit.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shunt/json/parts.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/timeline.hpp"

namespace shunt {

inline constexpr int opcodes = static_cast<int>(opcode::exchange) + 1;

inline void to_json(nlohmann::json& j, instruction const& i) {
  j = {{"code", to_string(i.code)}};
  instruction const usual;
  auto const put = [&](char const* key, auto const& value, auto const& default_value,
                       auto const& shown) {
    if (!(value == default_value)) j[key] = shown(value);
  };
  auto const number = [](auto v) { return static_cast<std::int64_t>(v); };
  auto const id = [](auto v) { return v.value(); };
  auto const text = [](auto v) { return to_string(v); };
  auto const part = [](slice s) { return nlohmann::json{s.first, s.count}; };
  put("type", i.type, usual.type, text);
  put("reduce", i.reduce, usual.reduce, text);
  put("lane", i.lane, usual.lane, number);
  put("channel", i.channel, usual.channel, number);
  put("batch", i.batch, usual.batch, number);
  put("peer", i.peer, usual.peer, id);
  put("group", i.group, usual.group, id);
  put("op", i.op, usual.op, [](operation const& op) { return nlohmann::json(op); });
  put("reads", i.reads, usual.reads, part);
  put("writes", i.writes, usual.writes, part);
  put("after", i.after, usual.after, part);
  put("condition", i.condition, usual.condition, number);
}
inline void read(json_reader const& here, instruction& i) {
  here.only({"code", "type", "reduce", "lane", "channel", "batch", "peer", "group", "op", "reads",
             "writes", "after", "condition"});
  i = {.code = here["code"].name<opcode>(opcodes)};
  auto const get = [&](char const* key, auto&& take) {
    if (here.has(key)) take(here[key]);
  };
  auto const part = [](slice& target) {
    return [&target](json_reader const& at) {
      target = {at.item(0, 2).integer<std::int32_t>(0), at.item(1, 2).integer<std::int32_t>(0)};
    };
  };
  get("type", [&](json_reader const& at) { i.type = at.name<element>(7); });
  get("reduce", [&](json_reader const& at) { i.reduce = at.name<reduction>(2); });
  get("lane", [&](json_reader const& at) { i.lane = at.integer<std::uint8_t>(); });
  get("channel", [&](json_reader const& at) { i.channel = at.integer<std::int32_t>(); });
  get("batch", [&](json_reader const& at) { i.batch = at.integer<std::int32_t>(); });
  get("peer", [&](json_reader const& at) { i.peer = at.id<rank_id>(); });
  get("group", [&](json_reader const& at) { i.group = at.id<group_id>(); });
  get("op", [&](json_reader const& at) { read(at, i.op); });
  get("reads", part(i.reads));
  get("writes", part(i.writes));
  get("after", part(i.after));
  get("condition", [&](json_reader const& at) { i.condition = at.integer<std::int32_t>(0); });
}

/// {"instructions", "regions", "waits", "buffers": [[size, persistent], ...]}
inline void to_json(nlohmann::json& j, rank_program const& rank) {
  auto regions = nlohmann::json::array(), buffers = nlohmann::json::array();
  for (auto const& r : rank.regions) regions.push_back({r.buffer.value(), r.offset, r.size});
  for (auto const& b : rank.buffers) buffers.push_back({b.size, b.persistent});
  j = {{"instructions", rank.instructions},
       {"regions", std::move(regions)},
       {"waits", rank.waits},
       {"buffers", std::move(buffers)}};
}
/// Refuses slices beyond their tables, so that `reads`, `writes` and `after` are safe to call.
/// Throws invalid_problem.
inline void read(json_reader const& here, rank_program& rank) {
  here.only({"instructions", "regions", "waits", "buffers"});
  rank = {};
  here["regions"].each([&](json_reader const& r) {
    rank.regions.push_back({r.item(0, 3).id<buffer_id>(), r.item(1, 3).integer<byte_count>(),
                            r.item(2, 3).integer<byte_count>()});
  });
  here["waits"].each(
      [&](json_reader const& w) { rank.waits.push_back(w.integer<std::int32_t>()); });
  here["buffers"].each([&](json_reader const& b) {
    rank.buffers.push_back({b.item(0, 2).integer<byte_count>(), b.item(1, 2).boolean()});
  });
  here["instructions"].each([&](json_reader const& at) {
    auto& i = rank.instructions.emplace_back();
    read(at, i);
    auto const within = [&](char const* key, slice s, std::size_t size) {
      if (static_cast<std::size_t>(s.first) + static_cast<std::size_t>(s.count) > size)
        at[key].refuse("leaves its table of " + std::to_string(size));
    };
    within("reads", i.reads, rank.regions.size());
    within("writes", i.writes, rank.regions.size());
    within("after", i.after, rank.waits.size());
    if (i.condition >= 0) within("condition", {i.condition, 1}, rank.regions.size());
  });
}

/// {"ranks": [...], "groups": [[rank, ...], ...]}
inline void to_json(nlohmann::json& j, program const& p) {
  auto groups = nlohmann::json::array();
  for (auto const& g : p.groups) {
    auto& list = groups.emplace_back(nlohmann::json::array());
    for (rank_id r : g) list.push_back(r.value());
  }
  j = {{"ranks", p.ranks.items()}, {"groups", std::move(groups)}};
}
/// Takes the ranks.
inline bool take_part(json_part const& part, program& p) {
  if (!part.is_element_of("ranks")) return false;
  rank_program rank;
  read(part.after(p.ranks.size()), rank);
  p.ranks.push_back(std::move(rank));
  return true;
}
inline void read_rest(json_reader const& here, program& p) {
  here.only({"ranks", "groups"});
  here["ranks"].each([&](json_reader const& at) {
    rank_program rank;
    read(at, rank);
    p.ranks.push_back(std::move(rank));
  });
  here["groups"].each([&](json_reader const& at) {
    std::vector<rank_id> group;
    at.each([&](json_reader const& r) { group.push_back(r.id<rank_id>()); });
    p.groups.push_back(std::move(group));
  });
}
inline void read(json_reader const& here, program& p) {
  p = {};
  read_rest(here, p);
}

inline void to_json(nlohmann::json& j, event const& e) {
  j = {{"rank", e.rank.value()},
       {"iteration", e.iteration},
       {"instruction", e.instruction},
       {"code", to_string(e.code)},
       {"op", e.op},
       {"start", e.start},
       {"end", e.end}};
}
inline void read(json_reader const& here, event& e) {
  here.only({"rank", "iteration", "instruction", "code", "op", "start", "end"});
  e = {.rank = here["rank"].id<rank_id>(),
       .iteration = here["iteration"].integer<std::int32_t>(),
       .instruction = here["instruction"].integer<std::int32_t>(),
       .code = here["code"].name<opcode>(opcodes),
       .start = here["start"].integer<ticks>(),
       .end = here["end"].integer<ticks>()};
  read(here["op"], e.op);
}

inline void to_json(nlohmann::json& j, timeline const& all) {
  j = {{"seconds_per_tick", json_number(all.seconds_per_tick)}, {"events", all.events}};
}
/// Takes the events.
inline bool take_part(json_part const& part, timeline& all) {
  if (!part.is_element_of("events")) return false;
  auto const here = part.after(all.events.size());
  read(here, all.events.emplace_back());
  return true;
}
inline void read_rest(json_reader const& here, timeline& all) {
  here.only({"seconds_per_tick", "events"});
  all.seconds_per_tick = here["seconds_per_tick"].number();
  here["events"].each([&](json_reader const& at) { read(at, all.events.emplace_back()); });
}
inline void read(json_reader const& here, timeline& all) {
  all = {};
  read_rest(here, all);
}

}  // namespace shunt
