#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace shunt::tests {

/// A new directory below the system's temporary one. The destructor removes it.
struct scratch_directory {
  std::string path;

  scratch_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "shunt.XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  scratch_directory(scratch_directory const&) = delete;
  scratch_directory& operator=(scratch_directory const&) = delete;
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace shunt::tests
