#include "shunt/train/detail/kept_tokens.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "shunt/train/aligned_bytes.hpp"

namespace shunt::tests::kept_tokens_test {
namespace {

TEST(kept_tokens, arrays_are_aligned_and_apart) {
  for (std::int64_t tokens = 1; tokens < 40; tokens += 3)
    for (std::int64_t const own : {0, 1, 17}) {
      moe_sizes const sizes{.width = 5, .kept = own};
      aligned_bytes memory(static_cast<std::size_t>(detail::kept_tokens::bytes(sizes, tokens)));
      auto const k = detail::kept_tokens::in(memory, sizes, tokens);
      EXPECT_EQ(k.input.size(), static_cast<std::size_t>(5 * tokens));
      EXPECT_EQ(k.own.size(), static_cast<std::size_t>(own));
      std::size_t written = 0;
      auto const fill = [&](auto const& array) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(array.data()) % buffer_alignment, 0U);
        for (auto& bytes : std::as_writable_bytes(array)) {
          EXPECT_EQ(bytes, std::byte{0}) << "arrays overlap";
          bytes = std::byte{1};
          ++written;
        }
      };
      fill(k.input);
      fill(k.own);
      fill(k.gate);
      fill(k.gate_gradient);
      fill(k.expert);
      fill(k.row);
      EXPECT_LE(written, memory.size());
      EXPECT_EQ(k.row.size(), static_cast<std::size_t>(tokens));
    }
}

}  // namespace
}  // namespace shunt::tests::kept_tokens_test
