#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/program/program.hpp"
#include "shunt/train/training_device.hpp"

namespace shunt::detail {

/// Memory of a device that grows when more is asked for. What lay in it is then lost: new memory is
/// zeroed.
template <training_device Device>
class grown_memory {
 public:
  /// Returns the first `size` bytes.
  std::span<std::byte> grow(Device& on, std::size_t size) {
    if (!memory_ || memory_->bytes().size() < size)
      memory_ = std::make_unique<typename Device::system::memory>(on.memory(size));
    return memory_->bytes().first(size);
  }
  [[nodiscard]] std::span<std::byte> bytes() {
    return memory_ ? memory_->bytes() : std::span<std::byte>{};
  }

 private:
  std::unique_ptr<typename Device::system::memory> memory_{};
};

/// The buffers of all ranks in a device's memory. For those that steps change: a copy of what they
/// held before, and in which iteration, so that one step can be undone to the bit. Copies and
/// iterations are written by the streams. Nothing may be running while the host changes or reads
/// any of it.
template <training_device Device>
class stream_memory {
 public:
  stream_memory(Device& device, std::size_t ranks, std::vector<buffer_id> stepped)
      : device_(device), stepped_(std::move(stepped)), own_(ranks) {
    for (auto& own : own_) {
      own.before.resize(stepped_.size());
      (void)own.iterations.grow(device_, stepped_.size() * sizeof(std::int64_t));
      forget_steps(own);
    }
  }

  [[nodiscard]] std::span<std::byte> operator()(rank_id r, buffer_id b) {
    auto& x = at(r, b);
    return x.memory.bytes().first(x.size);
  }

  /// Where a step keeps the content of a buffer of `stepped`, and the word for its iteration.
  struct kept_step {
    std::byte* bytes = nullptr;
    std::int64_t* iteration = nullptr;
  };
  [[nodiscard]] kept_step before_step(rank_id r, buffer_id b) {
    auto& own = own_[r.index()];
    auto const n =
        static_cast<std::size_t>(std::find(stepped_.begin(), stepped_.end(), b) - stepped_.begin());
    return {own.before[n].bytes().data(),
            reinterpret_cast<std::int64_t*>(own.iterations.bytes().data()) + n};
  }

  /// Gives every buffer that a program declares the declared size. Content stays as far as it fits.
  void fit(program const& sizes) {
    for (rank_id const r : ids<rank_id>(sizes.ranks.size()))
      for (buffer_id const b : ids<buffer_id>(sizes.ranks[r].buffers.size()))
        if (auto const size = sizes.ranks[r].buffers[b].size; size > 0)
          resize(r, b, static_cast<std::size_t>(size));
  }
  void resize(rank_id r, buffer_id b, std::size_t size) {
    auto& x = at(r, b);
    if (auto const old = x.memory.bytes(); old.size() < size) {
      grown_memory<Device> larger;
      (void)larger.grow(device_, size);
      if (x.size > 0) device_.copy(old.first(x.size), larger.bytes().first(x.size));
      x.memory = std::move(larger);
    }
    x.size = size;
    keep_room(r, b);
  }
  void swap(rank_id r, buffer_id a, buffer_id b) {
    std::swap(at(r, a), at(r, b));
    keep_room(r, a);
    keep_room(r, b);
  }

  template <class T>
  [[nodiscard]] std::vector<T> values(rank_id r, buffer_id b) {
    return read<T>((*this)(r, b));
  }

  /// Overwrites all that a rank had by bytes that are no numbers.
  void forget(rank_id r) {
    for (auto& x : own_[r.index()].buffers) {
      std::vector<std::byte> const nothing(x.memory.bytes().size(), std::byte{0xFF});
      if (!nothing.empty()) device_.write(nothing, x.memory.bytes());
    }
  }

  /// Undoes a rank's step of this iteration, as far as it has come. Returns the buffers that are as
  /// they were.
  std::vector<buffer_id> restore(rank_id r, std::int64_t iteration) {
    auto& own = own_[r.index()];
    auto const iterations = read<std::int64_t>(own.iterations.bytes());
    std::vector<buffer_id> restored;
    for (std::size_t n = 0; n < stepped_.size(); ++n)
      if (iterations[n] == iteration) {
        device_.copy(own.before[n].bytes().first((*this)(r, stepped_[n]).size()),
                     (*this)(r, stepped_[n]));
        restored.push_back(stepped_[n]);
      }
    forget_steps(own);
    return restored;
  }

 private:
  struct buffer {
    grown_memory<Device> memory{};
    std::size_t size = 0;
  };
  struct of_rank {
    std::vector<buffer> buffers{};
    std::vector<grown_memory<Device>> before{};  // of stepped_
    grown_memory<Device> iterations{};           // words, of stepped_
  };

  [[nodiscard]] buffer& at(rank_id r, buffer_id b) {
    auto& buffers = own_[r.index()].buffers;
    if (b.index() >= buffers.size()) buffers.resize(b.index() + 1);
    return buffers[b.index()];
  }
  void keep_room(rank_id r, buffer_id b) {
    for (std::size_t n = 0; n < stepped_.size(); ++n)
      if (stepped_[n] == b) (void)own_[r.index()].before[n].grow(device_, at(r, b).size);
  }
  template <class T>
  [[nodiscard]] std::vector<T> read(std::span<std::byte const> from) {
    std::vector<T> all(from.size() / sizeof(T));
    if (!all.empty()) device_.read(from, std::as_writable_bytes(std::span(all)));
    return all;
  }
  void forget_steps(of_rank& own) {
    std::vector<std::int64_t> const none(stepped_.size(), std::numeric_limits<std::int64_t>::min());
    device_.write(std::as_bytes(std::span(none)), own.iterations.bytes());
  }

  Device& device_;
  std::vector<buffer_id> stepped_;
  std::vector<of_rank> own_;  // by rank
};

}  // namespace shunt::detail
