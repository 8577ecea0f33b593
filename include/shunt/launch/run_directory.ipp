#pragma once
#include "shunt/launch/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_INLINE run_directory::run_directory(std::string const& where, std::string const& field) {
  namespace files = std::filesystem;
  auto const why = [] { return std::error_code(errno, std::generic_category()).message(); };
  std::error_code failed;
  auto const parent = where.empty() ? files::temp_directory_path(failed) : files::path(where);
  if (!failed) made_parent_ = files::create_directories(parent, failed);
  if (failed)
    throw invalid_problem(field, "cannot create " + parent.string() + ": " + failed.message());
  parent_ = parent.string();
  sweep();
  std::string pattern = (parent / "shunt.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    auto const because = why();
    if (made_parent_) files::remove(parent, failed);
    throw invalid_problem(field, "cannot write to " + parent.string() + ": " + because);
  }
  path_ = pattern;
  auto const owner = path_ + "/owner";
  owner_ = ::open((owner + ".draft").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (owner_ >= 0 && ::flock(owner_, LOCK_EX | LOCK_NB) == 0)
    files::rename(owner + ".draft", owner, failed);  // no process sees it without its lock
  if (owner_ < 0) {
    auto const because = why();
    remove();
    throw invalid_problem(field, "cannot write to " + path_ + ": " + because);
  }
}

SHUNT_INLINE run_directory::~run_directory() {
  remove();
  ::close(owner_);
}

SHUNT_INLINE void run_directory::remove() const {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  if (made_parent_) std::filesystem::remove(parent_, ignored);
}

/// Removes the directories of runs that have been killed.
SHUNT_INLINE void run_directory::sweep() const {
  namespace files = std::filesystem;
  std::error_code failed;
  for (files::directory_iterator at(parent_, failed), end; !failed && at != end;
       at.increment(failed)) {
    auto const name = at->path().filename().string();
    std::error_code no;
    if (!name.starts_with("shunt.") || name.size() != 12 || at->is_symlink(no)) continue;
    int const owner = ::open((at->path() / "owner").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (owner < 0) continue;  // it is just being made, or another user's
    struct stat mine{};
    if (::fstat(owner, &mine) == 0 && mine.st_uid == ::geteuid() &&
        ::flock(owner, LOCK_EX | LOCK_NB) == 0)
      files::remove_all(at->path(), no);
    ::close(owner);
  }
}

}  // namespace shunt
