#pragma once
#include <string>
#include <string_view>

namespace shunt::detail {

/// Returns the 32 bytes of a text's SHA-256.
/// Reference: FIPS 180-4.
[[nodiscard]] std::string sha256(std::string_view text);

/// Returns the 32 bytes of HMAC-SHA-256, which only those can compute who have the key.
/// Reference: RFC 2104.
[[nodiscard]] std::string keyed_hash(std::string key, std::string_view text);

/// Returns whether two texts are equal, in a time that depends on their lengths alone.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/launch/detail/sha256.ipp"
#endif
