#pragma once
#include <gtest/gtest.h>

#include <cstddef>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "shunt/core/operation.hpp"
#include "shunt/io/gantt.hpp"
#include "shunt/io/svg.hpp"
#include "shunt/io/text_grid.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "support/text.hpp"

namespace shunt::tests {

/// A V on two ranks, two micro-batches; rank 1 overlaps a forward of its first chunk with a
/// backward of its second one.
struct v_case {
  pipeline_job job{.stages = 4,
                   .microbatches = 2,
                   .costs = {.overlap_gain = 1},
                   .layout = stage_layout::v_shaped()};
  pipeline_schedule plan{.order = {{{op_kind::forward, 0, 0, 0},
                                    {op_kind::forward, 0, 0, 1},
                                    {op_kind::forward, 0, 3, 0},
                                    {op_kind::backward, 0, 3, 0}},
                                   {{op_kind::forward, 0, 1, 0},
                                    {op_kind::forward, 0, 2, 0},
                                    {op_kind::forward, 0, 1, 1},
                                    {op_kind::backward, 0, 2, 0}}},
                         .overlapped = {{}, {2}}};
  timetable table{.times = {{{0, 1}, {1, 2}, {3, 4}, {4, 6}}, {{1, 2}, {2, 3}, {6, 8}, {6, 8}}}};
};

/// Both directions on two ranks, one micro-batch each, forwards alone.
struct both_case {
  pipeline_job job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .layout = stage_layout::bidirectional()};
  pipeline_schedule plan{.order = {{{op_kind::forward, 0, 0, 0}, {op_kind::forward, 1, 1, 0}},
                                   {{op_kind::forward, 1, 0, 0}, {op_kind::forward, 0, 1, 0}}}};
  timetable table{.times = {{{0, 1}, {1, 2}}, {{0, 1}, {1, 2}}}};
};

template <class Case>
std::string text_of(Case const& c) {
  std::ostringstream out;
  write_text(out, gantt_of(c.job, c.plan, c.table));
  return out.str();
}

template <class Case>
std::string svg_of(Case const& c) {
  std::ostringstream out;
  write_svg(out, c.job, c.plan, c.table);
  return out.str();
}

/// Elements open and close in order, attributes are quoted, and text holds no bare markup: what XML
/// asks, as far as it is used here.
inline testing::AssertionResult well_formed(std::string const& xml) {
  static std::regex const tag(
      R"(^<(/?)([a-z]+)((?: [a-zA-Z0-9:-]+="[^"<&]*(?:&(?:amp|lt|gt|quot|#39);[^"<&]*)*")*)(/?)>)");
  std::vector<std::string> open;
  std::size_t at = 0, roots = 0;
  while (at < xml.size()) {
    if (xml[at] != '<') {
      if (xml[at] == '&' && !std::regex_search(xml.begin() + static_cast<std::ptrdiff_t>(at),
                                               xml.end(), std::regex("^&(amp|lt|gt|quot|#39);"),
                                               std::regex_constants::match_continuous))
        return testing::AssertionFailure() << "bare & at " << at;
      if (xml[at] == '>') return testing::AssertionFailure() << "bare > at " << at;
      if (static_cast<unsigned char>(xml[at]) < ' ' && xml[at] != '\n')
        return testing::AssertionFailure() << "control character at " << at;
      ++at;
      continue;
    }
    std::size_t const end = xml.find('>', at);
    if (end == std::string::npos) return testing::AssertionFailure() << "tag without end at " << at;
    std::string const text = xml.substr(at, end + 1 - at);
    std::smatch parts;
    if (!std::regex_match(text, parts, tag))
      return testing::AssertionFailure() << "broken tag " << text;
    if (parts[1].length() > 0) {
      if (open.empty() || open.back() != parts[2])
        return testing::AssertionFailure() << "unmatched " << text;
      open.pop_back();
    } else if (parts[4].length() == 0) {
      if (open.empty()) ++roots;
      open.push_back(parts[2]);
    }
    at = end + 1;
  }
  if (!open.empty() || roots != 1)
    return testing::AssertionFailure() << roots << " roots, " << open.size() << " left open";
  return testing::AssertionSuccess();
}

template <class... What>
std::string svg(What const&... what) {
  std::ostringstream out;
  write_svg(out, what...);
  EXPECT_TRUE(well_formed(out.str()));
  EXPECT_EQ(count(out.str(), "nan"), 0u);
  EXPECT_EQ(count(out.str(), "inf"), 0u);
  return out.str();
}

/// Two pipelines of two stages, one micro-batch each; 1:1 is dead and 0:1 computes for it.
struct small_case {
  pipeline_job job{
      .pipelines = 2, .stages = 2, .microbatches = 1, .costs = {.step = 2}, .dead = {{1, 1}}};
  pipeline_schedule plan{
      .order = {
          {{op_kind::forward, 0, 0, 0}, {op_kind::backward, 0, 0, 0}, {op_kind::step, 0, 0, 0}},
          {{op_kind::forward, 0, 1, 0},
           {op_kind::forward, 1, 1, 0},
           {op_kind::backward_input, 0, 1, 0},
           {op_kind::backward_input, 1, 1, 0},
           {op_kind::backward_weight, 0, 1, 0},
           {op_kind::backward_weight, 1, 1, 0},
           {op_kind::step, 0, 1, 0}},
          {{op_kind::forward, 1, 0, 0}, {op_kind::backward, 1, 0, 0}, {op_kind::step, 0, 0, 0}},
          {}}};
  timetable table{.times = {{{0, 1}, {4, 6}, {7, 9}},
                            {{1, 2}, {2, 3}, {3, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 9}},
                            {{0, 1}, {5, 7}, {7, 9}},
                            {}}};
};

}  // namespace shunt::tests
