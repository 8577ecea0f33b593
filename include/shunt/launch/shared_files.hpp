#pragma once
/// What processes that meet leave for each other: small files by name, in a directory
/// (disk_files.hpp) or in the memory of one process behind a port (rendezvous_client.hpp).
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"

namespace shunt {

/// Thrown where processes cannot meet: the files cannot be used, a member did not come, or a
/// connection could not be made.
class rendezvous_failed : public std::runtime_error {
 public:
  explicit rendezvous_failed(std::string const& why, std::vector<rank_id> absent = {},
                             bool unconnected = false)
      : std::runtime_error(why), absent_(std::move(absent)), unconnected_(unconnected) {}
  /// Returns the ranks that did not come in time.
  [[nodiscard]] std::vector<rank_id> const& absent() const noexcept { return absent_; }
  /// Returns whether all came, and not all connections could be made.
  [[nodiscard]] bool unconnected() const noexcept { return unconnected_; }

 private:
  std::vector<rank_id> absent_;
  bool unconnected_;
};

/// Files that all processes of a run see. `rename` and `link` are atomic, and replace or do not as
/// POSIX says. All members may be called from several threads, and throw rendezvous_failed where
/// the files are gone for good.
class shared_files {
 public:
  shared_files() = default;
  shared_files(shared_files const&) = delete;
  shared_files& operator=(shared_files const&) = delete;
  virtual ~shared_files() = default;

  [[nodiscard]] virtual bool exists(std::string const& path) const = 0;
  /// Returns what a file holds; nothing where there is none.
  [[nodiscard]] virtual std::optional<std::string> read(std::string const& path) const = 0;
  /// Makes or replaces a file, not atomically.
  [[nodiscard]] virtual std::error_code write(std::string const& path,
                                              std::string const& text) const = 0;
  /// Adds to the end of a file, which is made where there is none.
  [[nodiscard]] virtual std::error_code append(std::string const& path,
                                               std::string const& text) const = 0;
  [[nodiscard]] virtual std::error_code rename(std::string const& from,
                                               std::string const& to) const = 0;
  [[nodiscard]] virtual std::error_code link(std::string const& from,
                                             std::string const& to) const = 0;
  /// Fails with file_exists where the name is taken.
  [[nodiscard]] virtual std::error_code make_directory(std::string const& path) const = 0;
  virtual void remove(std::string const& path) const = 0;
  /// Makes the directory of a run, where there is none.
  /// Returns why processes must not meet there; empty: they may.
  [[nodiscard]] virtual std::string own_directory(std::string const& path) const = 0;
};

/// Makes or replaces a file as a whole: readers see the old text or the new one. No other process
/// may use the same draft.
[[nodiscard]] inline std::error_code replace_file(shared_files const& files,
                                                  std::string const& draft, std::string const& path,
                                                  std::string const& text) {
  auto const failed = files.write(draft, text);
  return failed ? failed : files.rename(draft, path);
}

}  // namespace shunt
