#pragma once
/// Reads what write_pytorch_csv writes, and what torch.distributed.pipelining dumps, as a job and
/// its plan.
///
/// The rows say which rank holds which stage (linear, looped, wave or custom), the largest numbers
/// how many stages and micro-batches there are. Every stage has one row, every micro-batch a
/// forward and a fused or split backward there. Where there are transfers, all must be there: each
/// send behind what makes its contents, each receive before what needs them, between two ranks in
/// the same order, and such that ranks which wait at each receive come to the end. Everything else
/// of a plan `check` judges. UNSHARD and RESHARD are read over, REDUCE_GRAD as well where it
/// follows the last backward of its stage. Idle cells (empty) are read over where there are no
/// transfers; with them torch refuses idle cells, and so does this. O(n log n) for n actions.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/operation.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/plan/pipeline_schedule.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt {

/// Which of its two forms a file has.
enum class pytorch_form : std::uint8_t { any, compute_only, with_comms };

/// A job of one pipeline with unit costs and its plan. A step of each of its stages ends the list
/// of a rank.
struct pytorch_plan {
  pipeline_job job{};
  pipeline_schedule schedule{};
  pytorch_form form = pytorch_form::compute_only;
};

namespace detail {

class pytorch_reader {
 public:
  using kind = pytorch_action::kind;

  pytorch_reader(std::istream& in, std::string const& name, pytorch_form wanted) : name_(name) {
    read_rows(in);
    if (wanted == pytorch_form::compute_only && other_)
      refuse(*other_, "is no computation, and the file should have nothing else");
    if (wanted == pytorch_form::with_comms && !comms_ && rows_.size() > 1)
      throw invalid_problem(name_, "has no sends and receives");
    if (comms_ && idle_)
      throw invalid_problem(at(*idle_), "is empty, which torch refuses in a schedule with comms");
    find_stages();
    enter_all();
    all_computed();
    if (!comms_) return;
    all_transferred();
    run();
  }

  [[nodiscard]] pytorch_plan plan() const {
    pytorch_plan found{.job = {.pipelines = 1,
                               .stages = stages_,
                               .microbatches = microbatches_,
                               .layout = layout()},
                       .form = comms_ ? pytorch_form::with_comms : pytorch_form::compute_only};
    bool pairs = false;
    for (auto const& row : rows_) {
      std::vector<operation> list;
      std::vector<std::int32_t> overlapped;
      for (auto const& e : row) {
        if (!e.action.computes()) continue;
        if (e.pair) overlapped.push_back(static_cast<std::int32_t>(list.size()));
        list.push_back({e.action.operation(), 0, e.action.stage, e.action.microbatch});
      }
      for (stage_id s : ids<stage_id>(stages_))
        if (row_of_[s.index()].value() == static_cast<std::int32_t>(found.schedule.order.size()))
          list.push_back({.kind = op_kind::step, .stage = s});
      pairs = pairs || !overlapped.empty();
      found.schedule.order.push_back(std::move(list));
      found.schedule.overlapped.push_back(std::move(overlapped));
    }
    if (!pairs) found.schedule.overlapped = {};
    return found;
  }

 private:
  /// Row and position in it; position -1: nowhere.
  struct place {
    std::size_t row = 0;
    std::int64_t index = -1;
    [[nodiscard]] bool found() const { return index >= 0; }
  };
  struct entry {
    pytorch_action action{};
    std::size_t column = 0;
    bool pair = false;  ///< the first of an overlapped pair
    place sender{};     ///< of a receive
  };
  /// Of a stage and a micro-batch.
  struct cell {
    place forward{}, gradient{}, weight{}, send_f{}, recv_f{}, send_b{}, recv_b{};
  };

  [[nodiscard]] entry const& operator[](place p) const {
    return rows_[p.row][static_cast<std::size_t>(p.index)];
  }
  [[nodiscard]] std::string row_name(std::size_t row) const {
    return name_ + " row " + std::to_string(row + 1);
  }
  [[nodiscard]] std::string at(std::size_t row, std::size_t column) const {
    return row_name(row) + ", column " + std::to_string(column + 1);
  }
  [[nodiscard]] std::string at(std::pair<std::size_t, std::size_t> where) const {
    return at(where.first, where.second);
  }
  [[noreturn]] void refuse(place p, std::string const& why) const {
    throw invalid_problem(at(p.row, (*this)[p].column),
                          '"' + to_string((*this)[p].action) + "\" " + why);
  }
  [[nodiscard]] cell& of(stage_id s, microbatch_id m) {
    return cells_[s.index() * static_cast<std::size_t>(microbatches_) + m.index()];
  }

  void read_rows(std::istream& in) {
    for (std::string line; std::getline(in, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      std::size_t const row = rows_.size();
      auto& entries = rows_.emplace_back();
      std::size_t column = 0;
      for (std::size_t begin = 0; begin <= line.size(); ++column) {
        std::size_t const end = std::min(line.find(',', begin), line.size());
        auto const text = trimmed(std::string_view(line).substr(begin, end - begin));
        begin = end + 1;
        if (text.empty()) {
          if (!idle_) idle_ = {row, column};
          continue;
        }
        auto const read = parse_pytorch_cell(text, at(row, column));
        place const here{row, static_cast<std::int64_t>(entries.size())};
        if (!comms_ && (read.first.sends() || read.first.receives())) comms_ = here;
        if (!other_ && !read.first.computes()) other_ = here;
        entries.push_back(
            {.action = read.first, .column = column, .pair = read.second.has_value()});
        if (read.second) entries.push_back({.action = *read.second, .column = column});
      }
      if (entries.empty()) throw invalid_problem(row_name(row), "has no action");
    }
    if (in.bad()) throw invalid_problem(name_, "can't be read");
    if (rows_.empty()) throw invalid_problem(name_, "is empty");
  }

  void find_stages() {
    std::size_t actions = 0;
    for (auto const& row : rows_)
      for (auto const& e : row) {
        if (!e.action.computes()) continue;
        ++actions;
        stages_ = std::max(stages_, e.action.stage.value() + 1);
        microbatches_ = std::max(microbatches_, e.action.microbatch.value() + 1);
      }
    // A number beyond what so many actions can fill is a gap: found before memory is taken for it.
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

  void enter_all() {
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
          if (left[a.stage.index()] > 0)
            refuse(here, "stands before the last backward of its stage");
          reduced[a.stage.index()] = here;
        }
        if (a.of_whole_stage()) continue;
        if (a.microbatch >= microbatches_)
          refuse(here, "is of a micro-batch that is never computed");
        cell& c = of(a.stage, a.microbatch);
        place* const places[]{&c.forward, &c.gradient, &c.gradient, &c.weight,
                              &c.send_f,  &c.recv_f,   &c.send_b,   &c.recv_b};
        place& own = *places[static_cast<std::size_t>(a.what)];
        if (own.found() && !a.computes()) refuse(here, "stands twice");
        if (!own.found()) own = here;  // computed twice: for check to say
        if (a.what == kind::backward && !c.weight.found()) c.weight = here;
      }
  }

  void all_computed() {
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

  /// Every message from `made`, sent at `send`, received at `recv`, to `used`: the four stand in
  /// this order, where there is a message.
  void message(place made, place send, place recv, place used, char const* direction) {
    auto const spelled = [&](char const* what, pytorch_action const& a) {
      return std::to_string(a.stage.value()) + what + direction +
             std::to_string(a.microbatch.value());
    };
    bool const needed = made.row != used.row;
    for (place const& p : {send, recv})
      if (!needed && p.found()) refuse(p, "goes from a rank to itself");
    if (!needed) return;
    if (!send.found())
      refuse(made, "is never sent on: " + spelled("SEND_", (*this)[made].action) + " is missing");
    if (!recv.found())
      refuse(used,
             "never gets its input: " + spelled("RECV_", (*this)[used].action) + " is missing");
    if (send.index < made.index) refuse(send, "stands before what it sends");
    if (recv.index > used.index) refuse(recv, "stands behind what needs it");
    rows_[recv.row][static_cast<std::size_t>(recv.index)].sender = send;
    sent_[{made.row, used.row}].emplace_back(send.index, recv.index);
  }

  void all_transferred() {
    for (stage_id s : ids<stage_id>(stages_))
      for (microbatch_id m : ids<microbatch_id>(microbatches_)) {
        cell const& here = of(s, m);
        if (s.value() == 0 && here.recv_f.found())
          refuse(here.recv_f, "has nobody to receive from");
        if (s.value() == 0 && here.send_b.found()) refuse(here.send_b, "has nobody to send to");
        if (s.value() + 1 == stages_) {
          if (here.send_f.found()) refuse(here.send_f, "has nobody to send to");
          if (here.recv_b.found()) refuse(here.recv_b, "has nobody to receive from");
          continue;
        }
        cell const& next = of(s.value() + 1, m);
        message(here.forward, here.send_f, next.recv_f, next.forward, "F");
        message(next.gradient, next.send_b, here.recv_b, here.gradient, "B");
      }
    for (auto& [pair, messages] : sent_) {
      std::sort(messages.begin(), messages.end());
      for (std::size_t i = 1; i < messages.size(); ++i)
        if (messages[i].second < messages[i - 1].second)
          refuse({pair.second, messages[i].second}, "is received before another message that row " +
                                                        std::to_string(pair.first + 1) +
                                                        " sends earlier");
    }
  }

  /// Each row runs until a receive whose send hasn't run.
  void run() {
    std::vector<std::int64_t> next(rows_.size(), 0);
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t row = 0; row < rows_.size(); ++row)
        for (auto& i = next[row]; i < static_cast<std::int64_t>(rows_[row].size());
             ++i, moved = true)
          if (auto const& sender = rows_[row][static_cast<std::size_t>(i)].sender;
              sender.found() && next[sender.row] <= sender.index)
            break;
    }
    for (std::size_t row = 0; row < rows_.size(); ++row)
      if (next[row] < static_cast<std::int64_t>(rows_[row].size()))
        refuse({row, next[row]}, "waits forever: the ranks wait for each other");
  }

  [[nodiscard]] stage_layout layout() const {
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

  std::string name_;
  std::vector<std::vector<entry>> rows_{};
  std::optional<place> comms_{},
      other_{};  ///< the first send or receive; the first action that computes nothing
  std::optional<std::pair<std::size_t, std::size_t>>
      idle_{};  ///< the first empty cell, row and column
  std::int32_t stages_ = 0, microbatches_ = 0;
  std::vector<rank_id> row_of_{};  ///< of each stage
  std::vector<cell> cells_{};
  std::map<std::pair<std::size_t, std::size_t>, std::vector<std::pair<std::int64_t, std::int64_t>>>
      sent_{};  ///< between two rows
};

}  // namespace detail

/// Throws invalid_problem, naming `name`, the row and the column (counted from 1) and what stands
/// there, for whatever doesn't fit: unknown actions, anything behind one, operations without a
/// micro-batch, missing micro-batches, a stage on two rows, rows that compute nothing, transfers
/// that are missing, stand twice, in the wrong place or in another order than on the other side,
/// ranks that wait for each other, and another form than the `wanted` one.
[[nodiscard]] inline pytorch_plan read_pytorch_csv(std::istream& in, std::string const& name,
                                                   pytorch_form wanted = pytorch_form::any) {
  return detail::pytorch_reader(in, name, wanted).plan();
}

/// The same from a file; a file that can't be opened or read is an invalid_problem too.
[[nodiscard]] inline pytorch_plan read_pytorch_csv_file(std::string const& path,
                                                        pytorch_form wanted = pytorch_form::any) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw invalid_problem(path, "can't be opened");
  if (in.peek() == std::ifstream::traits_type::eof() && in.bad())
    throw invalid_problem(path, "can't be read");
  return read_pytorch_csv(in, path, wanted);
}

}  // namespace shunt
