#pragma once
/// Files that the example programs write.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
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
  output_file(std::string option, std::filesystem::path path);

  /// Throws invalid_problem, which names the option, where the content can't be written or put in
  /// its place.
  void write(std::string_view content) const;

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

  [[noreturn]] void refuse(std::string const& why, int reason) const;
  void fill(std::filesystem::path const& where, std::string_view content) const;

  std::string option_, shown_;
  std::filesystem::path path_;
  bool replaces_ = false, direct_ = false, std_out_ = false;
};

/// What `write(stream)` writes, as text.
template <class Write>
[[nodiscard]] std::string rendered(Write&& write) {
  std::ostringstream out;
  write(out);
  return std::move(out).str();
}

/// A folder that files are written into, made where it isn't there. Throws invalid_problem, which
/// names the option, where that fails.
class output_folder {
 public:
  output_folder(std::string option, std::filesystem::path where);
  void text(std::string const& name, std::string_view content) const;
  /// `write(stream)` makes the content.
  template <class Write>
  void file(std::string const& name, Write&& write) const {
    text(name, rendered(write));
  }

 private:
  std::string option_;
  std::filesystem::path where_;
};

}  // namespace example
