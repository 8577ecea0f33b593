#pragma once
#include <string>

namespace shunt {

/// Makes a directory that other users cannot enter, where there is none.
/// Returns why processes must not meet there; empty: they may. They must not in a directory of
/// another user or one that all users can write to: a writer decides which processes survive.
[[nodiscard]] std::string own_directory(std::string const& path);

/// Returns why what is in a directory is not safe from other users, who can rename it; empty: it
/// is, or there is no such directory. A sticky directory (/tmp) is safe.
[[nodiscard]] std::string open_directory(std::string const& path);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/launch/own_directory.ipp"
#endif
