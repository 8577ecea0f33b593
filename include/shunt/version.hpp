#pragma once
/// The version stands here and nowhere else; CMakeLists.txt reads these three lines.
#define SHUNT_VERSION_MAJOR 0
#define SHUNT_VERSION_MINOR 1
#define SHUNT_VERSION_PATCH 0

namespace shunt {

inline constexpr int version_major = SHUNT_VERSION_MAJOR;
inline constexpr int version_minor = SHUNT_VERSION_MINOR;
inline constexpr int version_patch = SHUNT_VERSION_PATCH;

}  // namespace shunt
