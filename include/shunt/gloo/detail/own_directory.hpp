#pragma once
#include <string>

namespace shunt::detail {

/// Makes a directory that nobody else can enter, where there is none.
/// Returns why processes must not meet there; empty: they may. They must not in a directory of
/// another user or one that everybody can write to, for who writes there decides who lives.
[[nodiscard]] std::string own_directory(std::string const& path);

}  // namespace shunt::detail

#include "shunt/gloo/detail/own_directory.ipp"
