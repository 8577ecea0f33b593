#pragma once
#include <string>

namespace shunt::detail {

/// Makes a directory that other users cannot enter, where there is none.
/// Returns why processes must not meet there; empty: they may. They must not in a directory of
/// another user or one that all users can write to: a writer decides which processes survive.
[[nodiscard]] std::string own_directory(std::string const& path);

}  // namespace shunt::detail

#include "shunt/gloo/detail/own_directory.ipp"
