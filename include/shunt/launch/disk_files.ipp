#pragma once
#include "shunt/launch/disk_files.hpp"

#include <filesystem>
#include <fstream>
#include <ios>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/launch/own_directory.hpp"

namespace shunt {
namespace detail {

[[nodiscard]] SHUNT_INLINE std::error_code write_to_disk(std::string const& path,
                                                         std::string const& text,
                                                         std::ios::openmode mode) {
  std::ofstream out(path, std::ios::binary | mode);
  out << text;
  out.close();
  return out ? std::error_code{} : std::make_error_code(std::errc::io_error);
}

}  // namespace detail

SHUNT_INLINE bool disk_files::exists(std::string const& path) const {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

SHUNT_INLINE std::optional<std::string> disk_files::read(std::string const& path) const {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

SHUNT_INLINE std::error_code disk_files::write(std::string const& path,
                                               std::string const& text) const {
  return detail::write_to_disk(path, text, std::ios::trunc);
}

SHUNT_INLINE std::error_code disk_files::append(std::string const& path,
                                                std::string const& text) const {
  return detail::write_to_disk(path, text, std::ios::app);
}

SHUNT_INLINE std::error_code disk_files::rename(std::string const& from,
                                                std::string const& to) const {
  std::error_code failed;
  std::filesystem::rename(from, to, failed);
  return failed;
}

SHUNT_INLINE std::error_code disk_files::link(std::string const& from,
                                              std::string const& to) const {
  std::error_code failed;
  std::filesystem::create_hard_link(from, to, failed);
  return failed;
}

SHUNT_INLINE std::error_code disk_files::make_directory(std::string const& path) const {
  std::error_code failed;
  if (!std::filesystem::create_directory(path, failed) && !failed)
    return std::make_error_code(std::errc::file_exists);
  return failed;
}

SHUNT_INLINE void disk_files::remove(std::string const& path) const {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

SHUNT_INLINE std::string disk_files::own_directory(std::string const& path) const {
  return shunt::own_directory(path);
}

}  // namespace shunt
