#pragma once
/// Which process of a job this one is, as its launcher says in environment variables:
///
/// | launcher | rank | size | rank on its host |
/// |---|---|---|---|
/// | torchrun and others | RANK | WORLD_SIZE | LOCAL_RANK |
/// | Open MPI | OMPI_COMM_WORLD_RANK | OMPI_COMM_WORLD_SIZE | OMPI_COMM_WORLD_LOCAL_RANK |
/// | PMI (MPICH and others) | PMI_RANK | PMI_SIZE | MPI_LOCALRANKID |
/// | Slurm | SLURM_PROCID | SLURM_NTASKS | SLURM_LOCALID |
#include <cstdint>
#include <optional>
#include <string>

namespace shunt {

/// A process as its launcher counts it.
struct launched_process {
  std::int32_t rank = 0, size = 0;           ///< 0 <= rank < size
  std::optional<std::int32_t> local_rank{};  ///< among the processes of its host, where it is said
  std::string rank_variable{}, size_variable{};  ///< where both were said

  /// Throws invalid_problem, which names the size's variable, where the job needs another one.
  /// `why` says what needs it.
  void require_size(std::int32_t needed, std::string const& why) const;
};

/// Returns what the launcher says; nothing where there is none. The first row of the table that is
/// set counts. Two launchers must agree, with two exceptions: torchrun (TORCHELASTIC_RUN_ID) counts
/// the processes that it starts, however it was started itself, and Slurm counts those of a step in
/// which Open MPI or PMI may start others. Throws invalid_problem, which names the variable, for
/// half of a launcher, for values that are no such numbers, and where two launchers contradict each
/// other.
[[nodiscard]] std::optional<launched_process> launched_process_of_environment();

/// Where rank 0 can be reached.
struct master_address {
  std::string host{};  ///< name or number
  std::uint16_t port = 0;

  bool operator==(master_address const&) const = default;
};

/// Returns MASTER_ADDR and MASTER_PORT; nothing where neither is set. torchrun itself listens at
/// MASTER_PORT where it says TORCHELASTIC_USE_AGENT_STORE=True: then the port is the next one.
/// Throws invalid_problem, which names the variable, for one without the other and for what is no
/// port.
[[nodiscard]] std::optional<master_address> master_of_environment();

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/environment.ipp"
#endif
