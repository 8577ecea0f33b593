#pragma once
/// Sum of the gradients of a rank's replicas of an expert.
/// Reference: SYMI, arXiv 2504.19925, section 4.1.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/row_copies.hpp"

namespace shunt {

/// Adds the gradients of all replicas of an expert on a rank into the first of them, in ascending
/// order of slots. Launched as one row, whose threads share the elements of all slots.
/// The other replicas' gradients stay as they are.
/// Sums are exact for integers. For floats the order is the program's
/// (lower/gradient_collection.hpp), and so are the bits.
/// Complexity: one read a gradient and one write an expert with several replicas; with more than
/// eight, one more of both for each seven.
template <class T>
struct sum_slot_gradients {
  T* gradients = nullptr;  ///< slots x elements, aligned to 16 bytes
  std::int64_t elements = 0;
  std::int32_t const* expert_of = nullptr;  ///< this rank's slots
  std::int32_t slots = 0;

  SHUNT_HD void operator()(std::int32_t, std::int64_t thread, std::int64_t threads) const {
    bool const wide = elements * static_cast<std::int64_t>(sizeof(T)) % 16 == 0;
    for (std::int32_t slot = 0; slot < slots; ++slot) {
      std::int32_t before = 0;
      while (expert_of[before] != expert_of[slot]) ++before;
      if (before < slot) continue;
      // As many replicas as can be in flight for a thread.
      for (std::int32_t next = slot + 1; next < slots;) {
        others some;
        for (; next < slots && some.count < others::most; ++next)
          if (expert_of[next] == expert_of[slot]) some.slot[some.count++] = next;
        if (some.count == 0) break;
        if (wide)
          add<detail::vector_of<T>>(slot, some, thread, threads);
        else
          add<single>(slot, some, thread, threads);
      }
    }
  }

 private:
  struct single {
    static constexpr std::int32_t size = 1;
    T at[1];
  };
  struct others {
    static constexpr std::int32_t most = 7;
    std::int32_t slot[most] = {};
    std::int32_t count = 0;
  };

  /// Loads a vector of all replicas before it adds the first.
  template <class Vector>
  SHUNT_HD void add(std::int32_t slot, others const& some, std::int64_t thread,
                    std::int64_t threads) const {
    std::int64_t const n = elements / Vector::size;
    auto* const all = reinterpret_cast<Vector*>(gradients);
    for (std::int64_t i = thread; i < n; i += threads) {
      Vector sum = all[slot * n + i], more[others::most] = {};
      for (std::int32_t s = 0; s < others::most; ++s)
        if (s < some.count) more[s] = all[some.slot[s] * n + i];
      for (std::int32_t s = 0; s < others::most; ++s)
        if (s < some.count)
          for (std::int32_t k = 0; k < Vector::size; ++k) sum.at[k] += more[s].at[k];
      all[slot * n + i] = sum;
    }
  }
};

}  // namespace shunt
