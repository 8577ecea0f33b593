#pragma once
#include "shunt/io/layer_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "shunt/core/config.hpp"
#include "shunt/core/error.hpp"
#include "shunt/problem/stage_layout.hpp"

namespace shunt::detail {

/// Returns Megatron's letter of a layer, or 0 where the name says none.
SHUNT_INLINE char megatron_letter(std::string_view name) {
  static constexpr std::pair<std::string_view, char> const words[] = {
      {"embed", 'E'}, {"tok_embed", 'E'}, {"transformer", 't'}, {"decoder", 't'},
      {"layer", 't'}, {"block", 't'},     {"mtp", 'm'},         {"loss", 'L'},
      {"head", 'L'},  {"lm_head", 'L'},   {"output", 'L'}};
  for (auto const& [word, letter] : words)
    if (name.starts_with(word)) return letter;
  if (name.empty() || std::string_view("EtmL").find(name[0]) == std::string_view::npos) return 0;
  bool const digits =
      std::all_of(name.begin() + 1, name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits ? name[0] : '\0';
}

/// Returns the name up to a number between two dots, or up to its end.
SHUNT_INLINE std::string_view whole_layer(std::string_view name) {
  std::size_t digits = 0;
  for (std::size_t at = 0; at < name.size(); ++at) {
    if (name[at] == '.' && digits > 0 && (at == digits || name[at - digits - 1] == '.'))
      return name.substr(0, at);
    digits = name[at] >= '0' && name[at] <= '9' ? digits + 1 : 0;
  }
  return name;
}

/// Throws where a layer is a part of one.
SHUNT_INLINE void refuse_part(std::string const& field, std::string const& name,
                              char const* system) {
  if (auto const whole = whole_layer(name); whole.size() < name.size())
    throw invalid_problem(field, '"' + name.substr(0, 40) + "\" is a part of " +
                                     std::string(whole.substr(0, 40)) + "; " + system +
                                     " cuts between whole layers");
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_INLINE layer_job whole_layers(layer_job const& job) {
  auto whole = job;
  whole.layers.clear();
  std::string_view last;
  for (auto const& part : job.layers) {
    auto const name = detail::whole_layer(part.name);
    if (name.size() == part.name.size() || whole.layers.empty() || name != last) {
      whole.layers.push_back(part);
      whole.layers.back().name = name;
    } else {
      auto& all = whole.layers.back();
      all.forward += part.forward, all.backward_input += part.backward_input;
      all.backward_weight += part.backward_weight;
      all.state_bytes += part.state_bytes, all.activation_bytes += part.activation_bytes;
    }
    last = name.size() == part.name.size() ? std::string_view{} : name;
  }
  return whole;
}

SHUNT_INLINE std::string megatron_layout(layer_job const& job, layer_partition const& plan) {
  auto const form = plan.job.layout.form();
  if (form != stage_layout::shape::linear && form != stage_layout::shape::looped)
    throw invalid_problem("layout", "is " + std::string(to_string(form)) +
                                        "; Megatron lays its stages round the ranks (linear or "
                                        "looped)");
  std::string all;
  for (layer_range const stage : plan.stages) {
    if (stage.first > 0) all += '|';
    std::int32_t run = 0;
    char last = 0;
    auto const flush = [&] {
      if (run > 0) all += last;
      if (run > 1) all += '*' + std::to_string(run);
    };
    for (std::int32_t l = stage.first; l < stage.end; ++l) {
      auto const at = static_cast<std::size_t>(l);
      auto const field = "layers[" + std::to_string(l) + "].name";
      auto const& name = job.layers[at].name;
      detail::refuse_part(field, name, "Megatron");
      char const letter = detail::megatron_letter(name);
      if (letter == 0)
        throw invalid_problem(field, '"' + name.substr(0, 40) +
                                         "\" says neither embedding, transformer layer, mtp nor "
                                         "loss");
      if ((letter == 'E' && l > 0) || (letter == 'L' && at + 1 < job.layers.size()))
        throw invalid_problem(field, '"' + name.substr(0, 40) +
                                         (letter == 'E' ? "\" is an embedding and not first"
                                                        : "\" is a loss and not last"));
      if (letter != last) {
        flush();
        run = 0;
      }
      last = letter;
      ++run;
    }
    flush();
  }
  return all;
}

SHUNT_INLINE std::string torchtitan_modules(layer_job const& job, layer_partition const& plan) {
  if (plan.job.layout.form() == stage_layout::shape::custom)
    throw invalid_problem("layout", "is custom; torchtitan lays stages in turns or in a V");
  if (plan.job.layout.form() == stage_layout::shape::wave && plan.job.layout.chunks() != 2)
    throw invalid_problem("layout", "is a wave of " + std::to_string(plan.job.layout.chunks()) +
                                        " chunks; torchtitan's V has two");
  std::string all = "[";
  for (layer_range const stage : plan.stages) {
    all += stage.first > 0 ? ",[" : "[";
    for (std::int32_t l = stage.first; l < stage.end; ++l) {
      auto const& name = job.layers[static_cast<std::size_t>(l)].name;
      auto const field = "layers[" + std::to_string(l) + "].name";
      if (name.empty()) throw invalid_problem(field, "is empty");
      detail::refuse_part(field, name, "torchtitan");
      all += l > stage.first ? ",\"" : "\"";
      for (char const c : name) {
        if (static_cast<unsigned char>(c) < ' ')
          throw invalid_problem(field, "has a control character");
        if (c == '"' || c == '\\') all += '\\';
        all += c;
      }
      all += '"';
    }
    all += ']';
  }
  return all + ']';
}

}  // namespace shunt
