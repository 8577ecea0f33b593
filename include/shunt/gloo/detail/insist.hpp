#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>

#include "shunt/gloo/config.hpp"
#include "shunt/gloo/detail/host_platform.hpp"
#include "shunt/gloo/detail/number_files.hpp"
#include "shunt/gloo/detail/waiting_time.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt::detail {

/// Changes the directory of the rendezvous: repeats `change()`, which returns an error code, until
/// it succeeds. The disk may be full for a while. A directory that was removed is made again.
/// Throws rendezvous_failed where it fails for longer than `patience`, and at once where the
/// directory cannot be used.
template <platform Platform, class Change>
void insist(gloo_config const& config, Change const& change) {
  for (waiting_time<Platform> waited;; Platform::sleep(std::chrono::milliseconds{1})) {
    if (auto const why = config.files->own_directory(config.directory); !why.empty())
      throw rendezvous_failed(config.directory + ": can't meet there: " + why);
    std::error_code const failed = change();
    if (!failed) return;
    if (waited.passed() > config.patience)
      throw rendezvous_failed(config.directory + ": can't be written: " + failed.message());
  }
}

/// Makes or replaces a file of numbers, written whole and renamed, as `insist` does. No other
/// process may use the same draft.
template <platform Platform>
void replace_numbers(gloo_config const& config, std::string const& draft, std::string const& name,
                     std::span<std::int64_t const> numbers) {
  insist<Platform>(config,
                   [&] { return replace_file(*config.files, draft, name, as_text(numbers)); });
}

}  // namespace shunt::detail
