#pragma once
#include "shunt/program/program.hpp"

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(opcode c) {
  switch (c) {
    case opcode::compute: return "compute";
    case opcode::send: return "send";
    case opcode::receive: return "receive";
    case opcode::copy: return "copy";
    case opcode::add: return "add";
    case opcode::fill: return "fill";
    case opcode::all_reduce: return "all_reduce";
    case opcode::reduce_scatter: return "reduce_scatter";
    case opcode::all_gather: return "all_gather";
    case opcode::exchange: return "exchange";
  }
  return "unknown";
}

SHUNT_CONSTEXPR std::string_view to_string(element e) {
  switch (e) {
    case element::bytes: return "bytes";
    case element::int32: return "int32";
    case element::int64: return "int64";
    case element::float32: return "float32";
    case element::float64: return "float64";
    case element::bfloat16: return "bfloat16";
    case element::float16: return "float16";
  }
  return "unknown";
}

SHUNT_CONSTEXPR std::string_view to_string(reduction r) {
  return r == reduction::sum ? "sum" : "max";
}

SHUNT_CONSTEXPR std::span<region const> rank_program::reads(instruction const& i) const {
  return entries(regions, i.reads);
}

SHUNT_CONSTEXPR std::span<region const> rank_program::writes(instruction const& i) const {
  return entries(regions, i.writes);
}

SHUNT_CONSTEXPR std::span<std::int32_t const> rank_program::after(instruction const& i) const {
  return entries(waits, i.after);
}

SHUNT_CONSTEXPR std::span<region const> rank_program::condition(instruction const& i) const {
  return i.condition < 0 ? std::span<region const>{} : entries(regions, {i.condition, 1});
}

SHUNT_CONSTEXPR std::size_t program::instructions() const {
  std::size_t sum = 0;
  for (auto const& r : ranks) sum += r.instructions.size();
  return sum;
}

}  // namespace shunt
