#pragma once
/// Expert layers, placements, token splits and shard maps as JSON. Tables are lists of rows.
/// What was written reads back equal.
/// Throws (read) invalid_problem, which names the path of what does not fit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shunt/json/reader.hpp"
#include "shunt/plan/expert_placement.hpp"
#include "shunt/plan/layer_slots.hpp"
#include "shunt/plan/shard_map.hpp"
#include "shunt/plan/token_split.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/optimizer_state.hpp"

namespace shunt {

namespace detail {

/// Returns rows x columns values, row-major, as a list of rows.
template <class T, class F>
[[nodiscard]] nlohmann::json rows_of(std::vector<T> const& values, std::int32_t columns, F&& f) {
  auto rows = nlohmann::json::array();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % static_cast<std::size_t>(std::max(1, columns)) == 0)
      rows.push_back(nlohmann::json::array());
    rows.back().push_back(f(values[i]));
  }
  return rows;
}

/// Reads rows x columns values. Every row must have the same length.
template <class T, class F>
void read_rows(json_reader const& here, std::int32_t rows, std::int32_t columns,
               std::vector<T>& values, F&& f) {
  values.clear();
  std::int64_t found = 0;
  here.each([&](json_reader const& row) {
    std::int64_t width = 0;
    row.each([&](json_reader const& item) { values.push_back(f(item)), ++width; });
    if (width != columns)
      row.refuse("has " + std::to_string(width) + " values, must have " + std::to_string(columns));
    ++found;
  });
  if (found != (columns == 0 ? 0 : rows))
    here.refuse("has " + std::to_string(found) + " rows, must have " + std::to_string(rows));
}

/// Returns tables of rows x columns values as a list of tables.
[[nodiscard]] inline nlohmann::json tables_of(std::vector<std::int64_t> const& values,
                                              std::int32_t rows, std::int32_t columns) {
  auto tables = nlohmann::json::array();
  auto const lines = rows_of(values, columns, [](std::int64_t value) { return value; });
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i % static_cast<std::size_t>(std::max(1, rows)) == 0)
      tables.push_back(nlohmann::json::array());
    tables.back().push_back(lines[i]);
  }
  return tables;
}

/// Reads tables of rows x columns values.
/// Returns the number of tables.
inline std::int32_t read_tables(json_reader const& here, std::int32_t rows, std::int32_t columns,
                                std::vector<std::int64_t>& values) {
  values.clear();
  std::int32_t found = 0;
  here.each([&](json_reader const& table) {
    std::vector<std::int64_t> part;
    read_rows(table, rows, columns, part,
              [](json_reader const& item) { return item.integer<std::int64_t>(); });
    values.insert(values.end(), part.begin(), part.end());
    ++found;
  });
  return found;
}

inline constexpr auto whole_number = [](json_reader const& item) {
  return item.integer<std::int64_t>();
};
inline constexpr auto same = [](std::int64_t value) { return value; };

}  // namespace detail

/// {"layers": L, "experts": E, "loads": [[tokens of expert 0, ...] of layer 0, ...],
/// "slots_per_rank": [...]}, and where they are set "ranks_per_node", "groups", "previous": a row a
/// layer, "history": [rows as in loads of the oldest window, ...], "sources": [a row a rank of
/// layer 0, ...].
inline void to_json(nlohmann::json& j, expert_layers const& p) {
  j = {{"layers", p.layers},
       {"experts", p.experts},
       {"loads", detail::rows_of(p.loads, p.experts, detail::same)},
       {"slots_per_rank", p.slots_per_rank}};
  if (p.ranks_per_node != 0) j["ranks_per_node"] = p.ranks_per_node;
  if (p.groups != 0) j["groups"] = p.groups;
  if (!p.previous.empty())
    j["previous"] = detail::rows_of(p.previous, p.slots(), [](expert_id e) { return e.value(); });
  if (!p.history.empty()) j["history"] = detail::tables_of(p.history, p.layers, p.experts);
  if (!p.sources.empty()) j["sources"] = detail::tables_of(p.sources, p.ranks(), p.experts);
}
inline void read(json_reader const& here, expert_layers& p) {
  here.only({"layers", "experts", "loads", "slots_per_rank", "ranks_per_node", "groups", "previous",
             "history", "sources"});
  p = {.layers = here["layers"].integer<std::int32_t>(0),
       .experts = here["experts"].integer<std::int32_t>(0)};
  detail::read_rows(here["loads"], p.layers, p.experts, p.loads, detail::whole_number);
  here["slots_per_rank"].each(
      [&](json_reader const& item) { p.slots_per_rank.push_back(item.integer<std::int32_t>(0)); });
  if (here.has("ranks_per_node"))
    p.ranks_per_node = here["ranks_per_node"].integer<std::int32_t>(0);
  if (here.has("groups")) p.groups = here["groups"].integer<std::int32_t>(0);
  std::int64_t slots = 0;
  for (auto const n : p.slots_per_rank) slots += n;
  if (slots < 0 || slots >= (std::int64_t{1} << 31))
    here["slots_per_rank"].refuse("adds up to " + std::to_string(slots));
  if (here.has("previous"))
    detail::read_rows(here["previous"], p.layers, p.slots(), p.previous,
                      [](json_reader const& item) { return item.id<expert_id>(); });
  if (here.has("history")) detail::read_tables(here["history"], p.layers, p.experts, p.history);
  if (!here.has("sources")) return;
  auto const found = detail::read_tables(here["sources"], p.ranks(), p.experts, p.sources);
  if (found != p.layers)
    here["sources"].refuse("has " + std::to_string(found) + " layers, must have " +
                           std::to_string(p.layers));
}

inline void to_json(nlohmann::json& j, optimizer_state const& o) {
  j = {{"experts", o.experts},           {"ranks", o.ranks},
       {"elements", o.elements},         {"gradient_bytes", o.gradient_bytes},
       {"weight_bytes", o.weight_bytes}, {"state_bytes", o.state_bytes}};
}
inline void read(json_reader const& here, optimizer_state& o) {
  here.only({"experts", "ranks", "elements", "gradient_bytes", "weight_bytes", "state_bytes"});
  o = {here["experts"].integer<std::int32_t>(),      here["ranks"].integer<std::int32_t>(),
       here["elements"].integer<std::int64_t>(),     here["gradient_bytes"].integer<std::int32_t>(),
       here["weight_bytes"].integer<std::int32_t>(), here["state_bytes"].integer<std::int32_t>()};
}

/// {"layers": L, "experts": E, "first_slot": [0, ..., slots], "expert_of": [[expert of slot 0, ...]
/// of layer 0, ...]}
inline void to_json(nlohmann::json& j, expert_placement const& plan) {
  j = {{"layers", plan.layers},
       {"experts", plan.experts},
       {"first_slot", plan.first_slot},
       {"expert_of",
        detail::rows_of(plan.expert_of, plan.slots(), [](expert_id e) { return e.value(); })}};
}
inline void read(json_reader const& here, expert_placement& plan) {
  here.only({"layers", "experts", "first_slot", "expert_of"});
  plan = {.layers = here["layers"].integer<std::int32_t>(0),
          .experts = here["experts"].integer<std::int32_t>(0)};
  plan.first_slot.clear();
  here["first_slot"].each([&](json_reader const& item) {
    plan.first_slot.push_back(
        item.integer<std::int32_t>(plan.first_slot.empty() ? 0 : plan.first_slot.back()));
  });
  if (plan.first_slot.empty() || plan.first_slot.front() != 0)
    here["first_slot"].refuse("must begin with 0");
  detail::read_rows(here["expert_of"], plan.layers, plan.slots(), plan.expert_of,
                    [](json_reader const& item) { return item.id<expert_id>(); });
}

/// {"ranks": N, "slots": [[slots of rank 0, ...] of layer 0, ...]}
inline void to_json(nlohmann::json& j, layer_slots const& plan) {
  j = {{"ranks", plan.ranks},
       {"slots", detail::rows_of(plan.slots, plan.ranks, [](std::int32_t n) { return n; })}};
}
inline void read(json_reader const& here, layer_slots& plan) {
  here.only({"ranks", "slots"});
  plan = {.ranks = here["ranks"].integer<std::int32_t>(0)};
  here["slots"].each([&](json_reader const& row) {
    std::int64_t width = 0;
    row.each([&](json_reader const& item) {
      plan.slots.push_back(item.integer<std::int32_t>(0)), ++width;
    });
    if (width != plan.ranks)
      row.refuse("has " + std::to_string(width) + " values, must have " +
                 std::to_string(plan.ranks));
  });
}

/// {"sources", "slots", "experts", "tokens": a row a source, a column a slot, "dropped": a row a
/// source, a column an expert}
inline void to_json(nlohmann::json& j, token_split const& plan) {
  j = {{"sources", plan.sources},
       {"slots", plan.slots},
       {"experts", plan.experts},
       {"tokens", detail::rows_of(plan.tokens, plan.slots, detail::same)},
       {"dropped", detail::rows_of(plan.dropped, plan.experts, detail::same)}};
}
inline void read(json_reader const& here, token_split& plan) {
  here.only({"sources", "slots", "experts", "tokens", "dropped"});
  plan = {.sources = here["sources"].integer<std::int32_t>(0),
          .slots = here["slots"].integer<std::int32_t>(0),
          .experts = here["experts"].integer<std::int32_t>(0)};
  detail::read_rows(here["tokens"], plan.sources, plan.slots, plan.tokens, detail::whole_number);
  detail::read_rows(here["dropped"], plan.sources, plan.experts, plan.dropped,
                    detail::whole_number);
}

/// {"elements": n, "shards": [[[owner, begin, end, mirror, ...], ...] of expert 0, ...]}
inline void to_json(nlohmann::json& j, shard_map const& plan) {
  auto experts = nlohmann::json::array();
  for (auto const& shards : plan.shards) {
    auto& list = experts.emplace_back(nlohmann::json::array());
    for (auto const& s : shards) {
      list.push_back({s.owner.value(), s.begin, s.end});
      for (rank_id const r : s.mirrors) list.back().push_back(r.value());
    }
  }
  j = {{"elements", plan.elements}, {"shards", std::move(experts)}};
}
inline void read(json_reader const& here, shard_map& plan) {
  here.only({"elements", "shards"});
  plan = {.elements = here["elements"].integer<std::int64_t>()};
  here["shards"].each([&](json_reader const& list) {
    std::vector<shard> shards;
    list.each([&](json_reader const& s) {
      std::vector<std::int64_t> numbers;
      s.each([&](json_reader const& n) {
        numbers.push_back(numbers.empty() || numbers.size() > 2 ? n.integer<std::int32_t>()
                                                                : n.integer<std::int64_t>());
      });
      if (numbers.size() < 3) s.refuse("must be a list of owner, begin, end and mirrors");
      shards.push_back({.owner = numbers[0], .begin = numbers[1], .end = numbers[2]});
      for (std::size_t i = 3; i < numbers.size(); ++i)
        shards.back().mirrors.emplace_back(numbers[i]);
    });
    plan.shards.push_back(std::move(shards));
  });
}

}  // namespace shunt
