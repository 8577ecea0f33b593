#pragma once
/// Sum of the gradients of a rank's replicas of an expert.
/// Reference: SYMI, arXiv 2504.19925, section 4.1.
#include <cstdint>

#include "shunt/core/host_device.hpp"
#include "shunt/device/row_copies.hpp"

namespace shunt {

/// Adds the gradients of all replicas of an expert on a rank into the first of them, in ascending
/// order of slots.
/// The other replicas' gradients stay as they are. A row is a slot; a row that is not its expert's
/// first does nothing.
/// Sums are exact for integers. For floats the order is the program's
/// (lower/gradient_collection.hpp), and so are the bits.
/// Complexity: one read a gradient, one write an expert with several replicas.
template <class T>
struct sum_slot_gradients {
  T* gradients = nullptr;  ///< slots x elements, aligned to 16 bytes
  std::int64_t elements = 0;
  std::int32_t const* expert_of = nullptr;  ///< this rank's slots
  std::int32_t slots = 0;

  SHUNT_HD void operator()(std::int32_t slot, std::int64_t thread, std::int64_t threads) const {
    std::int32_t const expert = expert_of[slot];
    for (std::int32_t s = 0; s < slot; ++s)
      if (expert_of[s] == expert) return;
    std::int32_t next = slot + 1;
    while (next < slots && expert_of[next] != expert) ++next;
    if (next == slots) return;
    if (elements * static_cast<std::int64_t>(sizeof(T)) % 16 == 0)
      add<detail::vector_of<T>>(slot, next, thread, threads);
    else
      add<single>(slot, next, thread, threads);
  }

 private:
  struct single {
    static constexpr std::int32_t size = 1;
    T at[1];
  };

  template <class Vector>
  SHUNT_HD void add(std::int32_t slot, std::int32_t next, std::int64_t thread,
                    std::int64_t threads) const {
    std::int64_t const n = elements / Vector::size;
    auto* const all = reinterpret_cast<Vector*>(gradients);
    for (std::int64_t i = thread; i < n; i += threads) {
      Vector sum = all[slot * n + i];
      for (std::int32_t s = next; s < slots; ++s) {
        if (expert_of[s] != expert_of[slot]) continue;
        Vector const more = all[s * n + i];
        for (std::int32_t k = 0; k < Vector::size; ++k) sum.at[k] += more.at[k];
      }
      all[slot * n + i] = sum;
    }
  }
};

}  // namespace shunt
