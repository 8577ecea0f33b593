#pragma once
#include "shunt/launch/detail/frames.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "shunt/core/config.hpp"
#include "shunt/launch/detail/sha256.hpp"

namespace shunt::detail {

[[nodiscard]] SHUNT_INLINE std::string length_bytes(std::size_t length) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift & 0xff);
  return bytes;
}

/// Returns the length that stands at the begin of at least 4 bytes.
[[nodiscard]] SHUNT_INLINE std::size_t length_at(std::string_view bytes) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

SHUNT_INLINE std::string frame_of(std::initializer_list<std::string_view> fields) {
  std::string body;
  for (auto const field : fields) (body += length_bytes(field.size())) += field;
  return length_bytes(body.size()) + body;
}

SHUNT_INLINE std::optional<std::vector<std::string>> take_frame(std::string& bytes,
                                                                std::size_t most) {
  if (bytes.size() < 4) return std::nullopt;
  auto const length = length_at(bytes);
  if (length > most) throw std::runtime_error("a frame is too long");
  if (bytes.size() < 4 + length) return std::nullopt;
  std::vector<std::string> fields;
  auto rest = std::string_view(bytes).substr(4, length);
  while (!rest.empty()) {
    if (rest.size() < 4 || length_at(rest) > rest.size() - 4)
      throw std::runtime_error("a field is cut off");
    fields.emplace_back(rest.substr(4, length_at(rest)));
    rest.remove_prefix(4 + fields.back().size());
  }
  bytes.erase(0, 4 + length);
  return fields;
}

SHUNT_INLINE std::string new_nonce() {
  std::random_device random;
  std::string bytes;
  while (bytes.size() < nonce_bytes) bytes += static_cast<char>(random() & 0xff);
  return bytes;
}

SHUNT_INLINE std::string proof_of(std::string const& key, std::string_view of,
                                  std::string_view server_nonce, std::string_view client_nonce) {
  return keyed_hash(key, frame_of({rendezvous_greeting, of, server_nonce, client_nonce}));
}

}  // namespace shunt::detail
