#pragma once
/// What a rendezvous server and its clients say to each other: frames, each a list of fields. All
/// numbers are big-endian. A frame is its length in 4 bytes and its fields; a field is its length
/// in 4 bytes and its bytes.
///
/// The server begins: [greeting, nonce]. The client answers [nonce, proof], and is answered [proof]
/// or [] (refused). Then each request of the client, [operation, path, more], is answered
/// [number, text]: the number is 1 or 0 for yes or no, or an errno, 0 where all is well.
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::detail {

inline constexpr std::string_view rendezvous_greeting = "shunt rendezvous 1";
inline constexpr std::size_t nonce_bytes = 16;
inline constexpr std::size_t longest_frame = std::size_t{1} << 28;

/// What a client asks for; the members of shared_files.
enum class file_operation : std::uint8_t {
  exists,
  read,
  write,
  append,
  rename,
  link,
  make_directory,
  remove
};

/// Returns a frame.
[[nodiscard]] std::string frame_of(std::initializer_list<std::string_view> fields);

/// Takes the first frame from the begin of `bytes`.
/// Returns its fields; nothing where it is not complete.
/// Throws runtime_error for bytes that are none, or a frame of more than `most` bytes.
[[nodiscard]] std::optional<std::vector<std::string>> take_frame(std::string& bytes,
                                                                 std::size_t most);

/// Returns bytes that cannot be foreseen.
[[nodiscard]] std::string new_nonce();

/// Returns what shows that its sender has the key: `of` is "client" or "server".
[[nodiscard]] std::string proof_of(std::string const& key, std::string_view of,
                                   std::string_view server_nonce, std::string_view client_nonce);

}  // namespace shunt::detail

#ifndef SHUNT_COMPILED
#include "shunt/launch/detail/frames.ipp"
#endif
