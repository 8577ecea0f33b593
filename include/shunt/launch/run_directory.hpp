#pragma once
#include <string>

namespace shunt {

/// A directory of one run, which the destructor removes. A run that is killed leaves its own
/// behind, and the next one in the same place removes it. A run is known to live by its lock on the
/// file `owner`, which ends with its process.
class run_directory {
 public:
  /// Makes it in `where`, which is made where it is not there; where that is empty, among the
  /// system's temporary files.
  /// Throws invalid_problem, which names `field`.
  explicit run_directory(std::string const& where, std::string const& field = "directory");
  run_directory(run_directory const&) = delete;
  run_directory& operator=(run_directory const&) = delete;
  ~run_directory();

  [[nodiscard]] std::string const& path() const { return path_; }

 private:
  void remove() const;
  void sweep() const;

  std::string parent_{}, path_{};
  bool made_parent_ = false;
  int owner_ = -1;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/run_directory.ipp"
#endif
