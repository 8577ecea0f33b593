#pragma once
/// Files that a program leaves, whole or not at all.
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace shunt {

/// A file that is written under another name in its folder first, and then renamed. What was there
/// before stays until then, and after any failure. What is there and is no regular file, and what
/// is below /dev, is written directly; standard output under any of its names by std::cout.
class output_file {
 public:
  /// Changes nothing. `option` asked for the file.
  /// Throws invalid_problem, which names the option, where the file cannot be written.
  output_file(std::string option, std::string path);

  /// Throws invalid_problem, which names the option, where the content cannot be written or put in
  /// its place.
  void write(std::string_view content) const;

 private:
  struct draft;
  [[noreturn]] void refuse(std::string const& why, int reason) const;
  void fill(std::string const& path, std::string_view content) const;

  std::string option_, shown_, path_;
  bool replaces_ = false, direct_ = false, standard_output_ = false;
};

/// Returns what `write(stream)` writes, as text.
template <class Write>
[[nodiscard]] std::string rendered(Write&& write) {
  std::ostringstream out;
  write(out);
  return std::move(out).str();
}

/// A folder that such files are written into.
class output_folder {
 public:
  /// Makes the folder where it is not there.
  /// Throws invalid_problem, which names the option, where that fails.
  output_folder(std::string option, std::string path);

  /// Throws invalid_problem as output_file does.
  void text(std::string const& name, std::string_view content) const;
  /// Writes what `write(stream)` makes.
  template <class Write>
  void file(std::string const& name, Write&& write) const {
    text(name, rendered(write));
  }

 private:
  std::string option_, path_;
};

/// Returns the folder of an option; nothing where the path is empty.
[[nodiscard]] inline std::optional<output_folder> optional_folder(std::string const& option,
                                                                  std::string const& path) {
  return path.empty() ? std::nullopt : std::optional<output_folder>(std::in_place, option, path);
}

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/output_file.ipp"
#endif
