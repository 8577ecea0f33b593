#pragma once
/// One disk that all virtual processes share. It may be slow, be full, or lose a directory.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "support/simulated/world.hpp"

namespace shunt::tests::simulated {

/// What a process does on the disk, for those who observe it.
enum class disk_act : std::uint8_t { write, rename, link, make_directory, read, remove };

class disk {
 public:
  nanos full_until = 0, slow_until = 0;
  nanos slowest = 10 * millisecond;  ///< where it is slow
  /// Told of every act that had an effect or gave an answer: who, what, the name, the text.
  std::function<void(process const*, disk_act, std::string const&, std::string const&)> seen =
      [](auto...) {};

  [[nodiscard]] bool exists(std::string const& path) {
    enter(8);
    return nodes_.contains(path);
  }
  [[nodiscard]] std::optional<std::string> read(std::string const& path) {
    enter(8);
    auto const at = nodes_.find(path);
    if (at == nodes_.end() || at->second.directory) return std::nullopt;
    seen(who(), disk_act::read, path, *at->second.text);
    return *at->second.text;
  }
  [[nodiscard]] std::error_code write(std::string const& path, std::string const& text) {
    enter(1);
    if (!nodes_.contains(parent(path)))
      return std::make_error_code(std::errc::no_such_file_or_directory);
    auto& text_there = nodes_[path].text;
    if (!text_there) text_there = std::make_shared<std::string>();
    auto const open = text_there;
    open->clear();
    enter(1);
    if (full()) return std::make_error_code(std::errc::no_space_on_device);
    *open = text;
    seen(who(), disk_act::write, path, text);
    return {};
  }
  [[nodiscard]] std::error_code rename(std::string const& from, std::string const& to) {
    enter(1);
    auto const at = nodes_.find(from);
    if (at == nodes_.end()) return std::make_error_code(std::errc::no_such_file_or_directory);
    auto const moved = at->second;
    nodes_.erase(at);
    nodes_[to] = moved;
    seen(who(), disk_act::rename, to, *moved.text);
    return {};
  }
  [[nodiscard]] std::error_code link(std::string const& from, std::string const& to) {
    enter(1);
    auto const at = nodes_.find(from);
    if (at == nodes_.end()) return std::make_error_code(std::errc::no_such_file_or_directory);
    if (nodes_.contains(to)) return std::make_error_code(std::errc::file_exists);
    if (full()) return std::make_error_code(std::errc::no_space_on_device);
    nodes_[to] = at->second;
    seen(who(), disk_act::link, to, *at->second.text);
    return {};
  }
  [[nodiscard]] std::error_code make_directory(std::string const& path) {
    enter(1);
    if (nodes_.contains(path)) return std::make_error_code(std::errc::file_exists);
    if (!nodes_.contains(parent(path)))
      return std::make_error_code(std::errc::no_such_file_or_directory);
    if (full()) return std::make_error_code(std::errc::no_space_on_device);
    nodes_[path].directory = true;
    seen(who(), disk_act::make_directory, path, {});
    return {};
  }
  void remove(std::string const& path) {
    enter(8);
    if (nodes_.erase(path) > 0) seen(who(), disk_act::remove, path, {});
  }
  /// Makes a directory and those above it.
  [[nodiscard]] std::string own_directory(std::string const& path) {
    enter(8);
    if (nodes_.contains(path)) return {};
    if (full()) return std::make_error_code(std::errc::no_space_on_device).message();
    nodes_[path].directory = true;
    return {};
  }

  /// Removes a directory with all that is in it.
  void vanish(std::string const& path) {
    std::erase_if(nodes_, [&](auto const& one) { return one.first.starts_with(path); });
  }

 private:
  struct node {
    bool directory = false;
    std::shared_ptr<std::string> text{};  // shared by the names of a file
  };

  [[nodiscard]] static std::string parent(std::string const& path) {
    return path.substr(0, path.rfind('/'));
  }
  [[nodiscard]] static process const* who() { return current_world()->running(); }
  [[nodiscard]] bool full() const { return current_world()->now() < full_until; }

  /// Every act takes time, and other processes may act first.
  void enter(std::int64_t once_in) {
    auto& w = *current_world();
    auto* const p = w.running();
    if (!p) return;
    p->disk_used = w.now() - p->stood_still;
    if (w.now() < slow_until)
      w.sleep(w.below(slowest));
    else
      w.maybe_switch(once_in);
    p->disk_used = w.now() - p->stood_still;
  }

  std::map<std::string, node> nodes_{};
};

}  // namespace shunt::tests::simulated
