#pragma once
#include "shunt/launch/launched_rendezvous.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/launch/disk_files.hpp"
#include "shunt/launch/environment.hpp"
#include "shunt/launch/own_directory.hpp"
#include "shunt/launch/rendezvous_client.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "shunt/launch/shared_files.hpp"

namespace shunt {

SHUNT_INLINE launched_rendezvous::launched_rendezvous(launched_process const& as, bool joins,
                                                      config const& how)
    : patience_(how.patience), open_(how.key.empty()) {
  if (!how.directory.empty()) {
    directory_ = how.directory + "/shunt";
    if (auto const why = own_directory(directory_); !why.empty())
      throw invalid_problem("SHUNT_RENDEZVOUS", "cannot meet in " + directory_ + ": " + why);
    if (auto const why = open_directory(how.directory); !why.empty())
      throw invalid_problem("SHUNT_RENDEZVOUS", how.directory + " " + why);
    files_ = std::make_shared<disk_files const>();
    return;
  }
  auto const at = master_of_environment();
  if (!at)
    throw invalid_problem("SHUNT_RENDEZVOUS",
                          "names no directory to meet in, and MASTER_ADDR no host");
  directory_ = at->host + ":" + std::to_string(at->port);
  if (as.rank == 0 && !joins) try {
      server_ = std::make_unique<rendezvous_server>(
          rendezvous_server::config{.host = at->host, .port = at->port, .key = how.key});
    } catch (std::system_error const& error) {
      if (error.code() == std::errc::address_in_use)
        throw invalid_problem("MASTER_PORT", "is " + std::to_string(at->port) +
                                                 ", which another program uses on this host");
      throw invalid_problem("MASTER_ADDR", error.what());
    }
  try {
    files_ = std::make_shared<rendezvous_client const>(rendezvous_client::config{
        .host = at->host, .port = at->port, .key = how.key, .patience = how.patience});
  } catch (rendezvous_failed const& error) {
    throw invalid_problem("MASTER_ADDR", error.what());
  }
}

SHUNT_INLINE launched_rendezvous::~launched_rendezvous() {
  files_.reset();  // this process has left
  if (server_) server_->wait_until_left(patience_);
}

SHUNT_INLINE void launched_rendezvous::clear() const {
  std::error_code ignored;
  if (dynamic_cast<disk_files const*>(files_.get()))
    std::filesystem::remove_all(directory_, ignored);
}

}  // namespace shunt
