#pragma once
#include "shunt/execute/recovery/recovery_report.hpp"

#include <utility>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE void append(recovery_report& all, recovery_report later) {
  all.end = later.end;
  all.dead = std::move(later.dead);
  all.stopped = std::move(later.stopped);
  for (auto& l : later.losses) all.losses.push_back(std::move(l));
  for (auto& j : later.joined) all.joined.push_back(j);
  for (auto& s : later.sessions) all.sessions.push_back(std::move(s));
}

}  // namespace shunt
