#pragma once
/// Workers that are processes, of both training programs: where they meet, and what they report
/// (shunt/launch/report_line.hpp).
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <ios>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "process_options.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/units.hpp"
#include "shunt/gloo.hpp"
#include "shunt/json/report.hpp"
#include "shunt/launch.hpp"
#include "shunt/train/merged_losses.hpp"
#include "shunt/train/report_fields.hpp"
#include "text.hpp"

namespace example {

/// Where and how a worker process meets the others.
struct worker_address {
  shunt::gloo_config gloo{};
  shunt::rank_id self{};
  bool joins = false;  ///< comes in the place of a dead worker, when the others ask it to
  bool waits = false;  ///< to be killed by whoever started it; otherwise kills itself
};

/// What the workers of a run say, put together. What not all programs' workers say alike `hear`
/// hears.
template <class Loss>
class run_account {
 public:
  run_account() = default;
  run_account(run_account const&) = delete;
  run_account& operator=(run_account const&) = delete;

  void receive(shunt::rank_id from, std::string_view line) {
    auto const r = shunt::json_report::of(line);
    if (!r) return;
    if (r->what() == "error") return error_.receive(r->text("why"));
    if (r->what() == "loss") return losses_.receive(from, r->template object<Loss>());
    if (r->what() == "end") ended_.insert(from);
    hear(from, *r);
  }
  void killed(shunt::rank_id r, shunt::ticks at) { losses_.killed(r, at); }
  bool ended(shunt::rank_id r) const { return ended_.contains(r); }
  std::string const& error() const { return error_.why(); }

 protected:
  ~run_account() = default;
  virtual void hear(shunt::rank_id from, shunt::json_report const& r) = 0;
  /// As those know them that came to the end.
  std::vector<Loss> losses() const {
    return losses_.merged([&](shunt::rank_id r) { return ended(r); });
  }
  /// Throws runtime_error, with what the first said that could not go on, where none came to the
  /// end.
  void require_end(std::string const& otherwise) const {
    if (ended_.empty()) throw std::runtime_error(error().empty() ? otherwise : error());
  }

 private:
  shunt::merged_losses<Loss> losses_{};
  shunt::first_error error_{};
  std::set<shunt::rank_id> ended_{};
};

/// Whether the launcher's worker comes in the place of one that died.
inline bool launched_to_join() { return std::getenv("SHUNT_JOIN") != nullptr; }

/// The worker that a launcher made this process.
struct launched {
  launched(shunt::launched_process const& as, process_options const& o, bool joins)
      : worker(as, joins, o.launched()),
        at{.gloo = o.gloo(worker.place()), .self = as.rank, .joins = joins} {
    if (worker.place().open_to_all())  // one line of one process
      std::cerr << "warning: MASTER_PORT: anybody who reaches " << worker.place().directory()
                << " can join; give all processes the same SHUNT_RENDEZVOUS_KEY\n";
  }
  /// Passes on what all ranks have reported, and clears the place away.
  template <class Account>
  void read(std::int32_t ranks, std::vector<shunt::rank_id> const& dead, Account& account) const {
    worker.read(ranks, dead,
                [&](shunt::rank_id r, std::string const& line) { account.receive(r, line); });
  }

  shunt::launched_worker const worker;
  worker_address const at;
};

/// Where processes that this program starts itself meet.
class own_place {
 public:
  /// `bytes` must outlive this. Throws invalid_problem, naming the option, where they can't meet.
  own_place(process_options const& o, text_bytes const& bytes)
      : patience_(o.patience), place_(o.rendezvous, "rendezvous"), bytes_(bytes) {
    refuse_if(!keep_text(), "rendezvous", "cannot write to " + place_.path());
  }

  /// How they are watched; must not outlive this.
  shunt::supervision watched(std::function<std::string(shunt::rank_id)> name) const {
    return {.patience = patience_,
            .name = std::move(name),
            .starts =
                [this](shunt::rank_id r) {
                  static_cast<void>(keep_text());  // without it the worker says so
                  shunt::report_start(meet(), r);
                },
            .ended = [this](shunt::rank_id r) { shunt::report_end(meet(), r); }};
  }
  /// What a rank's process is told.
  std::vector<std::string> order(shunt::rank_id r,
                                 std::vector<std::string> const& more = {}) const {
    std::vector<std::string> words{"--as-worker", std::to_string(r.value()), "--meet",
                                   place_.path(), "--worker-text",           text()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

 private:
  shunt::gloo_config meet() const { return {.directory = place_.path()}; }
  std::string text() const { return place_.path() + "/text"; }
  /// The same for all, whatever becomes of the file that it was read from, or of this one.
  /// Returns whether it is there.
  bool keep_text() const {
    if (std::error_code no; std::filesystem::exists(text(), no)) return true;
    if (!shunt::own_directory(place_.path()).empty()) return false;
    std::ofstream out(text(), std::ios::binary);
    out.write(reinterpret_cast<char const*>(bytes_.data()),
              static_cast<std::streamsize>(bytes_.size()));
    return static_cast<bool>(out.flush());
  }

  std::chrono::milliseconds const patience_;
  shunt::run_directory const place_;
  text_bytes const& bytes_;
};

/// The exit status of a worker that another process of this program started: `work(sink)`.
template <class Work>
int work_for_starter(Work const& work) {
  return shunt::status_of_worker(shunt::report_to(shunt::worker_processes::report_descriptor),
                                 work);
}

}  // namespace example
