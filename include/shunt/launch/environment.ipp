#pragma once
#include "shunt/launch/environment.hpp"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"

namespace shunt {
namespace detail {

struct launcher_variables {
  char const *rank, *size, *local_rank;
  bool is_outer;  ///< another launcher may stand in its steps
};
inline constexpr launcher_variables launchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", false},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", false},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", false},
    {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", true}};

/// Returns the number that a variable is.
[[nodiscard]] SHUNT_INLINE std::int32_t variable_as_number(char const* variable, std::int32_t least,
                                                           std::int32_t most) {
  std::string_view const text = std::getenv(variable);
  std::int32_t value = 0;
  auto const [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    throw invalid_problem(variable,
                          "\"" + std::string(text.substr(0, 40)) + "\" is not a whole number");
  if (value < least || value > most)
    throw invalid_problem(variable, std::string("must be at ") +
                                        (value < least ? "least " + std::to_string(least)
                                                       : "most " + std::to_string(most)) +
                                        ", is " + std::string(text));
  return value;
}

}  // namespace detail

SHUNT_INLINE void launched_process::require_size(std::int32_t needed,
                                                 std::string const& why) const {
  if (size != needed)
    throw invalid_problem(size_variable, "is " + std::to_string(size) + ", " + why);
}

SHUNT_INLINE std::optional<launched_process> launched_process_of_environment() {
  constexpr std::int32_t most = 1 << 20;
  bool const of_torchrun = std::getenv("TORCHELASTIC_RUN_ID") != nullptr;
  std::optional<launched_process> found;
  detail::launcher_variables const* by = nullptr;
  bool of_mpi = false;
  for (auto const& l : detail::launchers) {
    bool const has_rank = std::getenv(l.rank) != nullptr, has_size = std::getenv(l.size) != nullptr;
    bool const is_mpi = !l.is_outer && &l != detail::launchers;
    if (!found) {
      if (!has_rank && !has_size) continue;
      if (!has_rank || !has_size) throw invalid_problem(has_rank ? l.size : l.rank, "is not set");
      found.emplace();
      by = &l;
      found->size = detail::variable_as_number(l.size, 1, most);
      found->rank = detail::variable_as_number(l.rank, 0, found->size - 1);
      found->rank_variable = l.rank;
      found->size_variable = l.size;
      if (std::getenv(l.local_rank))
        found->local_rank = detail::variable_as_number(l.local_rank, 0, found->size - 1);
      if (of_torchrun && by == detail::launchers) return found;
      of_mpi = is_mpi;
      continue;
    }
    if (!has_rank || !has_size || (l.is_outer && of_mpi)) continue;
    of_mpi = of_mpi || is_mpi;
    auto const agree = [&](char const* variable, char const* before, std::int32_t expected) {
      if (auto const value = detail::variable_as_number(variable, 0, most); value != expected)
        throw invalid_problem(variable, "is " + std::to_string(value) + ", and " + before + " is " +
                                            std::to_string(expected));
    };
    agree(l.rank, by->rank, found->rank);
    agree(l.size, by->size, found->size);
  }
  return found;
}

SHUNT_INLINE std::optional<master_address> master_of_environment() {
  char const* const host = std::getenv("MASTER_ADDR");
  char const* const port = std::getenv("MASTER_PORT");
  if (!host && !port) return std::nullopt;
  if (!host || !port) throw invalid_problem(host ? "MASTER_PORT" : "MASTER_ADDR", "is not set");
  if (*host == '\0') throw invalid_problem("MASTER_ADDR", "is empty");
  char const* const agent = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  bool const taken = agent && std::string_view(agent) == "True";
  return master_address{host,
                        static_cast<std::uint16_t>(
                            detail::variable_as_number("MASTER_PORT", 1, 65535 - taken) + taken)};
}

}  // namespace shunt
