#pragma once
#include "shunt/launch/own_directory.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE std::string own_directory(std::string const& path) {
  namespace files = std::filesystem;
  auto const because = [](int error) {
    return std::error_code(error, std::generic_category()).message();
  };
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) {
    std::error_code failed;
    if (auto const parent = files::path(path).parent_path(); !parent.empty())
      files::create_directories(parent, failed);
    if (failed) return failed.message();
    if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return because(errno);
    if (::stat(path.c_str(), &found) != 0) return because(errno);
  }
  if (!S_ISDIR(found.st_mode)) return because(ENOTDIR);
  if (found.st_uid != ::geteuid() && found.st_uid != 0) return "it belongs to another user";
  if ((found.st_mode & S_IWOTH) != 0) return "all users can write to it";
  return {};
}

SHUNT_INLINE std::string open_directory(std::string const& path) {
  struct stat found{};
  bool const is_open =
      ::stat(path.c_str(), &found) == 0 && ((found.st_uid != ::geteuid() && found.st_uid != 0) ||
                                            (found.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH);
  return is_open ? "belongs to another user, or all users can write to it" : "";
}

}  // namespace shunt
