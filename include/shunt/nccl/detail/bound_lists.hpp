#pragma once
/// Programs bound to one rank's device, and lists of instructions in progress there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/host/rank_buffers.hpp"
#include "shunt/execute/stream_system.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/detail/post_order.hpp"
#include "shunt/nccl/detail/staging.hpp"
#include "shunt/program/program.hpp"

namespace shunt::detail {

inline constexpr std::size_t word_size = sizeof(std::int64_t);

/// A program with the memory that one rank's list needs on its device.
template <stream_system System>
struct bound_program {
  using event = typename System::event;

  std::shared_ptr<program const> of{};
  nccl_staging stage{};
  rank_buffers buffers{};
  std::optional<typename System::memory> staging{}, words{};
  std::vector<std::optional<event>> sent{};  // by instruction: completion of a buffered send
  std::vector<post> posts{};                 // buffered sends in the order in which they leave

  [[nodiscard]] std::int64_t* word(std::int64_t at) {
    return reinterpret_cast<std::int64_t*>(words->bytes().data()) + at;
  }
  [[nodiscard]] std::span<std::byte> words_at(std::int64_t at, std::int64_t n = 1) {
    return words->bytes().subspan(static_cast<std::size_t>(at) * word_size,
                                  static_cast<std::size_t>(n) * word_size);
  }
  /// Returns a part of instruction n's staging memory.
  [[nodiscard]] std::span<std::byte> staged(std::size_t n, std::size_t offset, std::size_t size) {
    return size == 0
               ? std::span<std::byte>{}
               : staging->bytes().subspan(static_cast<std::size_t>(stage.place[n]) + offset, size);
  }
};

/// The programs that were bound last, at most eight.
template <stream_system System>
class bound_programs {
 public:
  using bound = bound_program<System>;

  /// Returns the program bound to a rank's buffers of a work; binds it where it is not known.
  template <class Work>
  [[nodiscard]] std::shared_ptr<bound> bind(System& system, Work& work,
                                            std::shared_ptr<program const> const& p, rank_id rank,
                                            bool buffered, float_order floats,
                                            shared_posts& posts) {
    constexpr std::size_t most = 8;
    auto const at =
        std::find_if(known_.begin(), known_.end(), [&](auto const& b) { return b->of == p; });
    if (at != known_.end()) return *at;
    auto b = std::make_shared<bound>();
    b->of = p;
    b->buffers.bind(work, rank, p->ranks[rank]);
    b->stage = stage(*p, rank, buffered, floats);
    if (buffered) {
      b->sent.resize(p->ranks[rank].instructions.size());
      b->posts = posts.of(p, rank);
    }
    if (b->stage.bytes > 0)
      b->staging.emplace(system.make_memory(static_cast<std::size_t>(b->stage.bytes)));
    if (b->stage.words > 0)
      b->words.emplace(system.make_memory(static_cast<std::size_t>(b->stage.words) * word_size));
    if (known_.size() == most) known_.pop_front();
    known_.push_back(b);
    return b;
  }

 private:
  std::deque<std::shared_ptr<bound>> known_{};
};

/// One list in progress: its events, and the host's copies of its words: those that are read while
/// it runs, then all of them as they are at its end.
template <stream_system System>
struct list_run {
  using event = typename System::event;

  std::shared_ptr<bound_program<System>> what{};
  std::size_t count = 0, collected = 0, posted = 0;
  bool whole = true;
  std::vector<event> started{}, ended{}, ties{};
  std::optional<event> base{}, over{};
  std::optional<typename System::memory> words{};

  [[nodiscard]] std::span<std::byte> words_at(std::int64_t at, std::int64_t n = 1) {
    return words->bytes().subspan(static_cast<std::size_t>(at) * word_size,
                                  static_cast<std::size_t>(n) * word_size);
  }
};

}  // namespace shunt::detail
