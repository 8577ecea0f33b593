#include "launched_worker.hpp"

namespace example {

bool launched_to_join() { return std::getenv("SHUNT_JOIN") != nullptr; }

void warn_if_open(shunt::launched_rendezvous const& place) {
  if (place.open_to_all())
    std::cerr << "warning: MASTER_PORT: anybody who reaches " << place.directory()
              << " can join; give all processes the same SHUNT_RENDEZVOUS_KEY\n";
}

}  // namespace example
