#pragma once
/// What processes over Gloo stand on: clock, threads, files and connections. All that waits, takes
/// time or can fail outside the process goes through one template parameter. `host_platform` is the
/// operating system's; tests run the same protocol on virtual ones.
#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <system_error>

namespace shunt::detail {

/// `now` is a steady clock. `mutex`, `condition` and `thread` are used as std::mutex,
/// std::condition_variable and std::thread are. Of the files, `rename` and `link` are atomic and
/// replace, or do not, as POSIX says. `make_directory` fails with file_exists where the name is
/// taken. `write` makes or replaces a file, not atomically. `exists` and `remove` report no errors.
/// `own_directory` is that of own_directory.hpp. `connections` connect one member of an epoch to
/// all others, as those of connections.hpp do.
template <class P>
concept platform =
    requires(std::chrono::nanoseconds pause, std::string const& path, std::string const& text) {
      typename P::mutex;
      typename P::condition;
      typename P::thread;
      typename P::connections;
      { P::now() } -> std::same_as<std::chrono::steady_clock::time_point>;
      P::sleep(pause);
      { P::exists(path) } -> std::same_as<bool>;
      { P::read(path) } -> std::same_as<std::optional<std::string>>;
      { P::write(path, text) } -> std::same_as<std::error_code>;
      { P::rename(path, path) } -> std::same_as<std::error_code>;
      { P::link(path, path) } -> std::same_as<std::error_code>;
      { P::make_directory(path) } -> std::same_as<std::error_code>;
      P::remove(path);
      { P::own_directory(path) } -> std::same_as<std::string>;
    };

}  // namespace shunt::detail
