#pragma once
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>

#include "shunt/gloo/detail/own_directory.hpp"
#include "shunt/gloo/detail/platform.hpp"

namespace shunt::detail {

class connections;

/// The operating system, and Gloo (connections.hpp).
struct host_platform {
  using mutex = std::mutex;
  using condition = std::condition_variable;
  using thread = std::thread;
  using connections = detail::connections;

  [[nodiscard]] static std::chrono::steady_clock::time_point now() {
    return std::chrono::steady_clock::now();
  }
  static void sleep(std::chrono::nanoseconds pause) { std::this_thread::sleep_for(pause); }

  [[nodiscard]] static bool exists(std::string const& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  }
  [[nodiscard]] static std::optional<std::string> read(std::string const& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  [[nodiscard]] static std::error_code write(std::string const& path, std::string const& text) {
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.close();
    return out ? std::error_code{} : std::make_error_code(std::errc::io_error);
  }
  [[nodiscard]] static std::error_code rename(std::string const& from, std::string const& to) {
    std::error_code failed;
    std::filesystem::rename(from, to, failed);
    return failed;
  }
  [[nodiscard]] static std::error_code link(std::string const& from, std::string const& to) {
    std::error_code failed;
    std::filesystem::create_hard_link(from, to, failed);
    return failed;
  }
  [[nodiscard]] static std::error_code make_directory(std::string const& path) {
    std::error_code failed;
    if (!std::filesystem::create_directory(path, failed) && !failed)
      return std::make_error_code(std::errc::file_exists);
    return failed;
  }
  static void remove(std::string const& path) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  [[nodiscard]] static std::string own_directory(std::string const& path) {
    return detail::own_directory(path);
  }
};
static_assert(platform<host_platform>);

}  // namespace shunt::detail
