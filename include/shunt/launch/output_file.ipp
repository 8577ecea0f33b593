#pragma once
#include "shunt/launch/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iostream>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

/// A new file in the same folder. The destructor removes it where it is still there.
struct output_file::draft {
  explicit draft(output_file const& of) {
    static int made = 0;
    auto const name =
        "shunt-" + std::to_string(::getpid()) + "-" + std::to_string(made++) + ".partial";
    path = std::filesystem::path(of.path_).replace_filename(name).string();
    int const file = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file < 0) of.refuse("can't be opened", errno);
    ::close(file);
  }
  draft(draft const&) = delete;
  draft& operator=(draft const&) = delete;
  ~draft() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  std::string path{};
};

SHUNT_INLINE output_file::output_file(std::string option, std::string path)
    : option_(std::move(option)), shown_(path), path_(std::move(path)) {
  namespace files = std::filesystem;
  std::error_code failed;
  auto const there = files::status(path_, failed);
  struct stat own{};
  struct stat other{};
  standard_output_ = ::fstat(STDOUT_FILENO, &own) == 0 && ::stat(path_.c_str(), &other) == 0 &&
                     own.st_dev == other.st_dev && own.st_ino == other.st_ino;
  if (standard_output_) return;
  replaces_ = files::is_regular_file(there) && !shown_.starts_with("/dev/");
  // A link stays, its target is replaced.
  if (replaces_) path_ = files::canonical(path_, failed).string();
  direct_ = files::exists(there) ? !replaces_ : files::is_symlink(path_, failed);
  if (files::is_directory(there)) refuse("can't be opened", EISDIR);
  if (replaces_ && ::access(path_.c_str(), W_OK) != 0) refuse("can't be opened", errno);
  if (direct_) return;
  draft probe(*this);
}

SHUNT_INLINE void output_file::write(std::string_view content) const {
  if (standard_output_) {
    if (!std::cout.write(content.data(), static_cast<std::streamsize>(content.size())).flush())
      refuse("can't be written", errno);
    return;
  }
  if (direct_) return fill(path_, content);
  draft const written(*this);
  fill(written.path, content);
  std::error_code failed;
  if (replaces_)
    std::filesystem::permissions(written.path, std::filesystem::status(path_).permissions(),
                                 failed);
  std::filesystem::rename(written.path, path_, failed);
  if (failed) refuse("can't be put in its place", failed.value());
}

SHUNT_INLINE void output_file::refuse(std::string const& why, int reason) const {
  throw invalid_problem(option_, shown_ + " " + why + ": " +
                                     std::error_code(reason, std::generic_category()).message());
}

SHUNT_INLINE void output_file::fill(std::string const& path, std::string_view content) const {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  if (!out) refuse("can't be opened", errno);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) refuse("can't be written", errno);
}

SHUNT_INLINE output_folder::output_folder(std::string option, std::string path)
    : option_(std::move(option)), path_(std::move(path)) {
  std::error_code failed;
  std::filesystem::create_directories(path_, failed);
  if (failed || !std::filesystem::is_directory(path_, failed))
    throw invalid_problem(option_,
                          "can't make " + path_ +
                              (failed ? ": " + failed.message() : ": something else has its name"));
}

SHUNT_INLINE void output_folder::text(std::string const& name, std::string_view content) const {
  output_file(option_, (std::filesystem::path(path_) / name).string()).write(content);
}

}  // namespace shunt
