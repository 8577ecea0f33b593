#include "process_options.hpp"

namespace example {

void add_process_options(argument_parser& app, process_options& o, worker_order& order) {
  add_integer(app, "--workers", o.workers,
              "processes to start, whatever a launcher says: as many as there are workers", 0)
      ->group("Engine");
  app.add_option("--rendezvous", o.rendezvous,
                 "directory where processes meet (default: one of their own among temporary files)")
      ->envname("SHUNT_RENDEZVOUS")
      ->group("Engine");
  app.add_option("--rendezvous-key", o.key,
                 "secret of all processes that meet at a launcher's MASTER_ADDR and MASTER_PORT, "
                 "where they have no such directory")
      ->envname("SHUNT_RENDEZVOUS_KEY")
      ->group("Engine");
  app.add_option("--interface", o.interface,
                 "network interface of processes (default: this machine alone)")
      ->envname("SHUNT_INTERFACE")
      ->group("Engine");
  auto const wait = [&o](std::string const& text) {
    o.patience = std::chrono::milliseconds(parse_integer("patience", text, 1, 3'600'000));
  };
  app.add_option_function("--patience", wait, "milliseconds to wait for a process that has to come")
      ->type_name("N")
      ->default_str(std::to_string(o.patience.count()))
      ->group("Engine");
  app.add_option("--as-worker", order.rank)
      ->group("");  // what this program tells processes that it starts itself
  app.add_option("--meet", order.place)->group("");
  app.add_option("--worker-text", order.text)->group("");
}

}  // namespace example
