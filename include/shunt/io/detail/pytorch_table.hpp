#pragma once
/// The CSV of torch.distributed.pipelining as a table: rows, stages, and the place of each action.
#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/io/pytorch_action.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

class pytorch_table {
 public:
  using kind = pytorch_action::kind;

  /// A row and a position in it; -1: none.
  struct place {
    std::size_t row = 0;
    std::int64_t index = -1;
    [[nodiscard]] bool found() const { return index >= 0; }
  };
  struct entry {
    pytorch_action action{};
    std::size_t column = 0;
    bool pair = false;  ///< first of an overlapped pair
  };
  /// Places of a stage's and micro-batch's actions.
  struct cell {
    place forward{}, gradient{}, weight{}, send_f{}, recv_f{}, send_b{}, recv_b{}, wait_f{},
        wait_b{};
  };

  /// Reads all rows.
  /// Throws invalid_problem, which names `name`, the row, the column and the text.
  pytorch_table(std::istream& in, std::string const& name) : name_(name) { read_rows(in); }
  /// Finds the stages of each row and the place of each action; checks that each stage has one row
  /// and each micro-batch all computations there.
  /// Throws invalid_problem.
  void place_actions();

  [[nodiscard]] std::vector<std::vector<entry>> const& rows() const { return rows_; }
  [[nodiscard]] std::int32_t stages() const { return stages_; }
  [[nodiscard]] std::int32_t microbatches() const { return microbatches_; }
  [[nodiscard]] rank_id row_of(stage_id s) const { return row_of_[s.index()]; }
  /// Returns the first send or receive.
  [[nodiscard]] std::optional<place> const& first_transfer() const { return comms_; }
  /// Returns the first wait.
  [[nodiscard]] std::optional<place> const& first_wait() const { return wait_; }
  /// Returns the first action that is no computation.
  [[nodiscard]] std::optional<place> const& first_other() const { return other_; }
  /// Returns row and column of the first empty cell.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> const& first_idle() const;
  [[nodiscard]] entry const& operator[](place p) const;
  [[nodiscard]] std::string row_name(std::size_t row) const;
  [[nodiscard]] std::string at(std::size_t row, std::size_t column) const;
  [[nodiscard]] std::string at(std::pair<std::size_t, std::size_t> where) const;
  [[noreturn]] void refuse(place p, std::string const& why) const;
  [[nodiscard]] cell const& of(stage_id s, microbatch_id m) const;

  /// Returns linear, looped, wave or else custom.
  [[nodiscard]] stage_layout layout() const;

 private:
  void read_rows(std::istream& in);

  void find_stages();

  void enter_all();

  void all_computed();

  std::string name_;
  std::vector<std::vector<entry>> rows_{};
  std::optional<place> comms_{}, wait_{}, other_{};
  std::optional<std::pair<std::size_t, std::size_t>> idle_{};
  std::int32_t stages_ = 0, microbatches_ = 0;
  std::vector<rank_id> row_of_{};  // of each stage
  std::vector<cell> cells_{};
};

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/io/detail/pytorch_table.ipp"
#endif
