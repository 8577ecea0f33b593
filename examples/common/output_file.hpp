#pragma once
/// Files that the example programs write.
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "shunt/core/error.hpp"

namespace example {

/// A file that is written whole or not at all: under another name in its folder first, and then
/// renamed. What was there before stays until then, and after any failure. What is there and is no
/// regular file, and what is below /dev, is written directly; standard output under any of its
/// names by std::cout.
class output_file {
 public:
  /// Throws invalid_problem, which names `option`, where the file can't be written. Changes
  /// nothing.
  output_file(std::string option, std::filesystem::path path)
      : option_(std::move(option)), shown_(path.string()), path_(std::move(path)) {
    namespace files = std::filesystem;
    std::error_code failed;
    auto const there = files::status(path_, failed);
    struct stat own{};
    struct stat other{};
    std_out_ = ::fstat(STDOUT_FILENO, &own) == 0 && ::stat(path_.c_str(), &other) == 0 &&
               own.st_dev == other.st_dev && own.st_ino == other.st_ino;
    if (std_out_) return;
    replaces_ = files::is_regular_file(there) && !shown_.starts_with("/dev/");
    if (replaces_) path_ = files::canonical(path_, failed);  // a link stays, its target is replaced
    direct_ = files::exists(there) ? !replaces_ : files::is_symlink(path_, failed);
    if (files::is_directory(there)) refuse("can't be opened", EISDIR);
    if (replaces_ && ::access(path_.c_str(), W_OK) != 0) refuse("can't be opened", errno);
    if (direct_) return;
    draft probe(*this);
  }

  /// Throws invalid_problem, which names the option, where the content can't be written or put in
  /// its place.
  void write(std::string_view content) const {
    if (std_out_) {
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

 private:
  /// A new file in the same folder. The destructor removes it where it is still there.
  struct draft {
    explicit draft(output_file const& of) {
      static int made = 0;
      path = of.path_;
      path.replace_filename("shunt-" + std::to_string(::getpid()) + "-" + std::to_string(made++) +
                            ".partial");
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
    std::filesystem::path path;
  };

  [[noreturn]] void refuse(std::string const& why, int reason) const {
    throw shunt::invalid_problem(option_,
                                 shown_ + " " + why + ": " +
                                     std::error_code(reason, std::generic_category()).message());
  }
  void fill(std::filesystem::path const& where, std::string_view content) const {
    errno = 0;
    std::ofstream out(where, std::ios::binary);
    if (!out) refuse("can't be opened", errno);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.close();
    if (!out) refuse("can't be written", errno);
  }

  std::string option_, shown_;
  std::filesystem::path path_;
  bool replaces_ = false, direct_ = false, std_out_ = false;
};

/// What `write(stream)` writes, as text.
template <class Write>
std::string rendered(Write&& write) {
  std::ostringstream out;
  write(out);
  return std::move(out).str();
}

/// A folder that files are written into, made where it isn't there. Throws invalid_problem, which
/// names the option, where that fails.
class output_folder {
 public:
  output_folder(std::string option, std::filesystem::path where)
      : option_(std::move(option)), where_(std::move(where)) {
    std::error_code failed;
    std::filesystem::create_directories(where_, failed);
    if (failed || !std::filesystem::is_directory(where_, failed))
      throw shunt::invalid_problem(
          option_, "can't make " + where_.string() +
                       (failed ? ": " + failed.message() : ": something else has its name"));
  }
  void text(std::string const& name, std::string_view content) const {
    output_file(option_, where_ / name).write(content);
  }
  /// `write(stream)` makes the content.
  template <class Write>
  void file(std::string const& name, Write&& write) const {
    text(name, rendered(write));
  }

 private:
  std::string option_;
  std::filesystem::path where_;
};

/// The folder of an option; nothing where it isn't given.
inline std::optional<output_folder> optional_folder(std::string const& option,
                                                    std::string const& where) {
  return where.empty() ? std::nullopt : std::optional<output_folder>(std::in_place, option, where);
}

}  // namespace example
