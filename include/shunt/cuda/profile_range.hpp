#pragma once
#include <nvtx3/nvtx3.hpp>

#include <string>

namespace shunt {

/// Names what the host enqueues while this lives, for Nsight and other tools that read NVTX, in the
/// domain "shunt"; without such a tool it costs some nanoseconds. An instruction is named as in
/// traces of a timeline (`name_of`), so that the profile and the trace agree.
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
