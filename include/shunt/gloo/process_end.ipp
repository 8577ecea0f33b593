#pragma once
#include "shunt/gloo/process_end.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace shunt {

namespace detail {

[[nodiscard]] inline std::filesystem::path end_of_process(std::string const& directory, rank_id r) {
  return std::filesystem::path(directory) / ("ended" + std::to_string(r.value()));
}

}  // namespace detail

inline void report_end(std::string const& directory, rank_id r) {
  std::ofstream const written(detail::end_of_process(directory, r));
}

inline void report_start(std::string const& directory, rank_id r) {
  std::error_code ignored;
  std::filesystem::remove(detail::end_of_process(directory, r), ignored);
}

inline bool has_ended(std::string const& directory, rank_id r) {
  std::error_code ignored;
  return std::filesystem::exists(detail::end_of_process(directory, r), ignored);
}

}  // namespace shunt
