#pragma once
/// Where the processes of a launcher meet: in a directory that all see (SHUNT_RENDEZVOUS), or at
/// MASTER_ADDR and MASTER_PORT, where rank 0 holds their files in its memory. The directory wins
/// where both are said. Gloo, NCCL and reports use the same one.
#include <chrono>
#include <memory>
#include <string>

#include "shunt/launch/environment.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

/// The end of one process.
class launched_rendezvous {
 public:
  struct config {
    std::string directory{};  ///< the files stand in its folder "shunt"; empty: MASTER_ADDR's port
    std::string key{};        ///< of the port; empty: all that reach it may join
    std::chrono::milliseconds patience{30'000};  ///< for rank 0 to be there, and to answer
  };

  /// `joins`: in the place of a process that died; then not even rank 0 holds the files.
  /// Throws invalid_problem, which names the variable, where the directory cannot be used or
  /// another user could meddle with it, where nothing says where to meet, where the port is in use
  /// or cannot be reached, and where the key is another one.
  launched_rendezvous(launched_process const& as, bool joins, config const& how);
  launched_rendezvous(launched_rendezvous const&) = delete;
  launched_rendezvous& operator=(launched_rendezvous const&) = delete;
  /// Where this process holds the files, waits until the others have left, for `patience` at most.
  ~launched_rendezvous();

  [[nodiscard]] std::string const& directory() const { return directory_; }
  [[nodiscard]] std::shared_ptr<shared_files const> const& files() const { return files_; }
  /// Returns whether this process holds the files and all that reach its port may join.
  [[nodiscard]] bool open_to_all() const { return server_ && open_; }
  /// Removes the directory with all that is in it. Files in memory go with their process.
  void clear() const;

 private:
  std::chrono::milliseconds const patience_;
  bool const open_;
  std::string directory_{};
  std::unique_ptr<rendezvous_server> server_{};
  std::shared_ptr<shared_files const> files_{};
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/launched_rendezvous.ipp"
#endif
