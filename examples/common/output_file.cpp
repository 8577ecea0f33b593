#include "output_file.hpp"

namespace example {

output_file::output_file(std::string option, std::filesystem::path path)
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

void output_file::write(std::string_view content) const {
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

void output_file::refuse(std::string const& why, int reason) const {
  throw shunt::invalid_problem(option_,
                               shown_ + " " + why + ": " +
                                   std::error_code(reason, std::generic_category()).message());
}

void output_file::fill(std::filesystem::path const& where, std::string_view content) const {
  errno = 0;
  std::ofstream out(where, std::ios::binary);
  if (!out) refuse("can't be opened", errno);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) refuse("can't be written", errno);
}

output_folder::output_folder(std::string option, std::filesystem::path where)
    : option_(std::move(option)), where_(std::move(where)) {
  std::error_code failed;
  std::filesystem::create_directories(where_, failed);
  if (failed || !std::filesystem::is_directory(where_, failed))
    throw shunt::invalid_problem(
        option_, "can't make " + where_.string() +
                     (failed ? ": " + failed.message() : ": something else has its name"));
}

void output_folder::text(std::string const& name, std::string_view content) const {
  output_file(option_, where_ / name).write(content);
}

}  // namespace example
