#pragma once
/// Named ranges for profilers (NVTX).
#include <nvtx3/nvtx3.hpp>

#include <string>

namespace shunt {

/// Names what the host enqueues during its lifetime, in the NVTX domain "shunt", for Nsight and
/// similar tools. Without a tool it costs some nanoseconds.
/// Instructions have the names of a timeline's trace (`name_of`).
class profile_range {
 public:
  explicit profile_range(std::string const& name) : range_(name) {}

 private:
  struct domain {
    static constexpr char const* name = "shunt";
  };
  nvtx3::scoped_range_in<domain> range_;
};

}  // namespace shunt
