#pragma once
#include "shunt/io/detail/pytorch_table.hpp"

#include <algorithm>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/text_input.hpp"
#include "shunt/core/units.hpp"
#include "shunt/io/csv_fields.hpp"

namespace shunt::detail {

SHUNT_INLINE void pytorch_table::place_actions() {
  find_stages();
  enter_all();
  all_computed();
}

SHUNT_INLINE std::optional<std::pair<std::size_t, std::size_t>> const& pytorch_table::first_idle()
    const {
  return idle_;
}

SHUNT_INLINE pytorch_table::entry const& pytorch_table::operator[](place p) const {
  return rows_[p.row][static_cast<std::size_t>(p.index)];
}

SHUNT_INLINE std::string pytorch_table::row_name(std::size_t row) const {
  return name_ + " row " + std::to_string(row + 1);
}

SHUNT_INLINE std::string pytorch_table::at(std::size_t row, std::size_t column) const {
  return row_name(row) + ", column " + std::to_string(column + 1);
}

SHUNT_INLINE std::string pytorch_table::at(std::pair<std::size_t, std::size_t> where) const {
  return at(where.first, where.second);
}

SHUNT_INLINE void pytorch_table::refuse(place p, std::string const& why) const {
  throw invalid_problem(at(p.row, (*this)[p].column),
                        '"' + to_string((*this)[p].action) + "\" " + why);
}

SHUNT_INLINE pytorch_table::cell const& pytorch_table::of(stage_id s, microbatch_id m) const {
  return cells_[s.index() * static_cast<std::size_t>(microbatches_) + m.index()];
}

SHUNT_INLINE stage_layout pytorch_table::layout() const {
  auto const ranks = static_cast<std::int32_t>(rows_.size());
  auto const is = [&](stage_layout const& l) {
    for (stage_id s : ids<stage_id>(stages_))
      if (l.rank_of({0, s}, stages_) != row_of_[s.index()]) return false;
    return true;
  };
  if (stages_ % ranks == 0)
    for (auto const& l :
         {stage_layout::looped(stages_ / ranks), stage_layout::wave(stages_ / ranks)})
      if (is(l)) return ranks == stages_ ? stage_layout::linear() : l;
  return stage_layout::custom(row_of_);
}

SHUNT_INLINE void pytorch_table::read_rows(std::istream& in) {
  line_reader lines(in, name_);
  for (std::string line; lines.next(line);) {
    std::size_t const row = rows_.size();
    auto& entries = rows_.emplace_back();
    auto const fields = csv_fields(line, lines.at());
    for (std::size_t column = 0; column < fields.size(); ++column) {
      auto const text = fields[column];
      if (text.empty()) {
        if (!idle_) idle_ = {row, column};
        continue;
      }
      auto const read = parse_pytorch_cell(text, at(row, column));
      place const here{row, static_cast<std::int64_t>(entries.size())};
      if (!comms_ && (read.first.sends() || read.first.receives())) comms_ = here;
      if (!wait_ && read.first.waits()) wait_ = here;
      if (!other_ && !read.first.computes()) other_ = here;
      entries.push_back({.action = read.first, .column = column, .pair = read.second.has_value()});
      if (read.second) entries.push_back({.action = *read.second, .column = column});
    }
    if (entries.empty()) throw invalid_problem(row_name(row), "has no action");
  }
  if (rows_.empty()) throw invalid_problem(name_, "is empty");
}

SHUNT_INLINE void pytorch_table::find_stages() {
  std::size_t actions = 0;
  for (auto const& row : rows_)
    for (auto const& e : row) {
      if (!e.action.computes()) continue;
      ++actions;
      stages_ = std::max(stages_, e.action.stage.value() + 1);
      microbatches_ = std::max(microbatches_, e.action.microbatch.value() + 1);
    }
  // Numbers that so few actions cannot fill have gaps; refused before memory is allocated.
  auto const cells = checked_multiply(stages_, microbatches_);
  if (!cells || static_cast<std::size_t>(*cells) > actions)
    throw invalid_problem(name_, "has " + std::to_string(actions) + " computations for " +
                                     std::to_string(stages_) + " stages x " +
                                     std::to_string(microbatches_) + " micro-batches");
  row_of_.assign(static_cast<std::size_t>(stages_), rank_id{-1});
  for (std::size_t row = 0; row < rows_.size(); ++row)
    for (std::size_t i = 0; i < rows_[row].size(); ++i) {
      auto const& a = rows_[row][i].action;
      if (!a.computes()) continue;
      auto& holder = row_of_[a.stage.index()];
      if (holder < 0) holder = static_cast<std::int32_t>(row);
      if (holder.index() != row)
        refuse({row, static_cast<std::int64_t>(i)},
               "is of a stage that row " + std::to_string(holder.value() + 1) + " holds");
    }
  for (stage_id s : ids<stage_id>(stages_))
    if (row_of_[s.index()] < 0)
      throw invalid_problem(name_, "has no row for stage " + std::to_string(s.value()));
  for (std::size_t row = 0; row < rows_.size(); ++row)
    if (std::none_of(rows_[row].begin(), rows_[row].end(),
                     [](entry const& e) { return e.action.computes(); }))
      throw invalid_problem(row_name(row), "computes nothing");
}

SHUNT_INLINE void pytorch_table::enter_all() {
  cells_.resize(static_cast<std::size_t>(stages_) * static_cast<std::size_t>(microbatches_));
  std::vector<place> reduced(static_cast<std::size_t>(stages_));
  std::vector<std::int32_t> left(static_cast<std::size_t>(stages_), 0);
  for (auto const& row : rows_)
    for (auto const& e : row)
      if (e.action.what == kind::backward || e.action.what == kind::weight)
        ++left[e.action.stage.index()];
  for (std::size_t row = 0; row < rows_.size(); ++row)
    for (std::size_t i = 0; i < rows_[row].size(); ++i) {
      auto const& a = rows_[row][i].action;
      place const here{row, static_cast<std::int64_t>(i)};
      if (a.stage >= stages_ || row_of_[a.stage.index()].index() != row)
        refuse(here, "is of a stage that this row doesn't compute");
      if (a.what == kind::backward || a.what == kind::weight) --left[a.stage.index()];
      if (a.what == kind::reduce_grad) {
        if (reduced[a.stage.index()].found())
          refuse(here, "stands twice: the gradient would be scaled twice");
        if (left[a.stage.index()] > 0) refuse(here, "stands before the last backward of its stage");
        reduced[a.stage.index()] = here;
      }
      if (a.of_whole_stage()) continue;
      if (a.microbatch >= microbatches_) refuse(here, "is of a micro-batch that is never computed");
      cell& c =
          cells_[a.stage.index() * static_cast<std::size_t>(microbatches_) + a.microbatch.index()];
      place* const places[]{&c.forward, &c.gradient, &c.gradient, &c.weight, &c.send_f,
                            &c.recv_f,  &c.send_b,   &c.recv_b,   &c.wait_f, &c.wait_b};
      place& own = *places[static_cast<std::size_t>(a.what)];
      if (own.found() && !a.computes()) refuse(here, "stands twice");
      if (!own.found()) own = here;  // `check` reports a second computation
      if (a.what == kind::backward && !c.weight.found()) c.weight = here;
    }
}

SHUNT_INLINE void pytorch_table::all_computed() {
  for (stage_id s : ids<stage_id>(stages_))
    for (microbatch_id m : ids<microbatch_id>(microbatches_)) {
      cell const& c = of(s, m);
      auto const missing = [&](char const* what) {
        std::string elsewhere;
        for (std::size_t row = 0; row < rows_.size(); ++row)
          for (entry const& e : rows_[row])
            if (elsewhere.empty() && e.action.computes() && e.action.microbatch == m &&
                e.action.stage != s)
              elsewhere = ", which row " + std::to_string(row + 1) + ", column " +
                          std::to_string(e.column + 1) + " computes";
        throw invalid_problem(row_name(row_of_[s.index()].index()),
                              "has no " + std::string(what) + " of micro-batch " +
                                  std::to_string(m.value()) + " at stage " +
                                  std::to_string(s.value()) + elsewhere);
      };
      if (!c.forward.found()) missing("forward");
      if (!c.gradient.found()) missing("backward");
      if (!c.weight.found()) missing("backward_weight");
    }
}

}  // namespace shunt::detail
