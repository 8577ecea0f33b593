#pragma once
#include "shunt/io/pytorch_action.hpp"

#include <charconv>
#include <cstddef>
#include <limits>
#include <system_error>
#include <vector>

#include "shunt/core/error.hpp"

namespace shunt {

SHUNT_CONSTEXPR bool pytorch_action::sends() const {
  return what == kind::send_f || what == kind::send_b;
}

SHUNT_CONSTEXPR bool pytorch_action::receives() const {
  return what == kind::recv_f || what == kind::recv_b;
}

SHUNT_CONSTEXPR bool pytorch_action::waits() const {
  return what == kind::wait_send_f || what == kind::wait_send_b || what == kind::wait_reduce_grad;
}

SHUNT_CONSTEXPR op_kind pytorch_action::operation() const {
  constexpr std::array kinds{op_kind::forward, op_kind::backward, op_kind::backward_input,
                             op_kind::backward_weight};
  return kinds[static_cast<std::size_t>(what)];
}

}  // namespace shunt

namespace shunt::detail {

SHUNT_CONSTEXPR std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Removes the number at the start of `text`.
// Returns the number; -1 where there is none or it exceeds 2^31 - 2.
SHUNT_INLINE std::int32_t take_number(std::string_view& text) {
  std::int32_t value = -1;
  if (text.empty() || text.front() < '0' || text.front() > '9') return -1;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value == std::numeric_limits<std::int32_t>::max()) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace shunt::detail

namespace shunt {

SHUNT_CONSTEXPR std::string_view to_string(pytorch_release r) {
  return r == pytorch_release::v2_14 ? "2.14" : "2.15";
}

SHUNT_INLINE std::string to_string(pytorch_action const& a) {
  std::string text = std::to_string(a.stage.value());
  text += detail::pytorch_names[static_cast<std::size_t>(a.what)];
  if (a.microbatch >= 0) text += std::to_string(a.microbatch.value());
  return text;
}

SHUNT_INLINE std::string to_string(pytorch_cell const& c) {
  if (!c.second) return to_string(c.first);
  return "(" + to_string(c.first) + ";" + to_string(*c.second) + ")" +
         std::string(detail::pytorch_overlap);
}

// Returns the beginning of a text in quotes, on one line.
SHUNT_INLINE std::string detail::shown(std::string_view text) {
  std::string shown = '"' + std::string(text.substr(0, 40)) + (text.size() > 40 ? "...\"" : "\"");
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return shown;
}

SHUNT_INLINE pytorch_action parse_pytorch_action(std::string_view text, std::string const& at) {
  auto const refuse = [&](std::string const& why) {
    throw invalid_problem(at, detail::shown(text) + " " + why);
  };
  auto rest = text;
  auto const stage = detail::take_number(rest);
  if (stage < 0) refuse("doesn't begin with a stage, as 2F0 does");
  std::string_view const letters =
      rest.substr(0, rest.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
  std::size_t kind = 0;
  while (kind < detail::pytorch_names.size() && detail::pytorch_names[kind] != letters) ++kind;
  if (kind == detail::pytorch_names.size()) refuse("is no action that is known here");
  pytorch_action action{.what = static_cast<pytorch_action::kind>(kind), .stage = stage};
  rest.remove_prefix(letters.size());
  if (!action.of_whole_stage()) {
    if (rest.empty()) refuse("names no micro-batch");
    auto const microbatch = detail::take_number(rest);
    if (microbatch < 0) refuse("names no micro-batch");
    action.microbatch = microbatch;
  } else if (!rest.empty()) {
    refuse("is of a stage as a whole and ends after its name");
  }
  if (!rest.empty()) refuse("has more after its micro-batch");
  return action;
}

SHUNT_INLINE pytorch_cell parse_pytorch_cell(std::string_view text, std::string const& at) {
  text = detail::trimmed(text);
  if (text.empty() || text.front() != '(') return {parse_pytorch_action(text, at), {}};
  auto const refuse = [&] {
    throw invalid_problem(at, detail::shown(text) + " is no overlap as (0F3;3B1)OVERLAP_F_B");
  };
  using kind = pytorch_action::kind;
  auto const close = text.find(')');
  if (close == text.npos || text.substr(close + 1) != detail::pytorch_overlap) refuse();
  std::vector<pytorch_action> parts;
  for (auto rest = text.substr(1, close - 1);;) {
    auto const end = rest.find(';');
    parts.push_back(parse_pytorch_action(detail::trimmed(rest.substr(0, end)), at));
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  for (std::size_t n = 0; n + 1 < parts.size() && parts.size() == 3; ++n)
    if (parts[n].what == kind::input &&
        parts[n + 1] == pytorch_action{kind::weight, parts[n].stage, parts[n].microbatch}) {
      parts[n].what = kind::backward;
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(n) + 1);
    }
  auto const gradient = [](pytorch_action const& a) {
    return a.what == kind::backward || a.what == kind::input;
  };
  if (parts.size() != 2 || !((parts[0].what == kind::forward && gradient(parts[1])) ||
                             (gradient(parts[0]) && parts[1].what == kind::forward)))
    refuse();
  return {parts[0], parts[1]};
}

}  // namespace shunt
