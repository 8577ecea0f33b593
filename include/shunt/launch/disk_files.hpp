#pragma once
#include <optional>
#include <string>
#include <system_error>

#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// Shared files of the operating system: on one machine, or on a file system that all see.
class disk_files final : public shared_files {
 public:
  [[nodiscard]] bool exists(std::string const& path) const override;
  [[nodiscard]] std::optional<std::string> read(std::string const& path) const override;
  [[nodiscard]] std::error_code write(std::string const& path,
                                      std::string const& text) const override;
  [[nodiscard]] std::error_code append(std::string const& path,
                                       std::string const& text) const override;
  [[nodiscard]] std::error_code rename(std::string const& from,
                                       std::string const& to) const override;
  [[nodiscard]] std::error_code link(std::string const& from, std::string const& to) const override;
  [[nodiscard]] std::error_code make_directory(std::string const& path) const override;
  void remove(std::string const& path) const override;
  /// As own_directory.hpp says.
  [[nodiscard]] std::string own_directory(std::string const& path) const override;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/disk_files.ipp"
#endif
