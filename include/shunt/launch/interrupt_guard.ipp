#pragma once
#include "shunt/launch/interrupt_guard.hpp"

#include <signal.h>

#include <cstddef>

#include "shunt/core/config.hpp"

namespace shunt {

SHUNT_INLINE interrupt_guard::interrupt_guard() {
  struct sigaction note{};
  note.sa_handler = [](int) { requested_ = 1; };
  sigset_t blocked;
  sigemptyset(&blocked);
  for (std::size_t i = 0; i < which.size(); ++i) {
    sigaddset(&blocked, which[i]);
    ::sigaction(which[i], &note, &before_[i]);
  }
  ::sigprocmask(SIG_BLOCK, &blocked, &mask_);
  requested_ = 0;
}

SHUNT_INLINE interrupt_guard::~interrupt_guard() {
  for (std::size_t i = 0; i < which.size(); ++i) ::sigaction(which[i], &before_[i], nullptr);
  ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
}

}  // namespace shunt
