#pragma once
/// Values of the library as Python classes: their JSON form, comparison and pickling.
#include <pybind11/eval.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "shunt/json/parts.hpp"

namespace planner {

namespace py = pybind11;

inline py::object python_of(nlohmann::json const& j) {
  return py::module_::import("json").attr("loads")(j.dump());
}

template <class T>
T read(std::string const& text) {
  std::istringstream in(text);
  T value = shunt::read_json<T>(in);
  if constexpr (requires { shunt::validate(value); }) shunt::validate(value);
  return value;
}

/// From keywords, as the JSON names them. Arrays and their numbers become lists and numbers.
template <class T>
T from_keywords(py::kwargs const& fields) {
  py::object const plain =
      py::eval("lambda value: value.tolist() if hasattr(value, 'tolist') else str(value)");
  auto const dumps = py::module_::import("json").attr("dumps");
  return read<T>(py::cast<std::string>(dumps(fields, py::arg("default") = plain)));
}

/// The class of a value. `fields` are its attributes, with what a document leaves out.
template <class T>
py::class_<T> bind_value(py::module_& m, char const* name, nlohmann::json const& fields) {
  py::class_<T> type(m, name);
  type.def(py::init(&from_keywords<T>))
      .def("to_json", [](T const& v) { return nlohmann::json(v).dump(); })
      .def_static("from_json", &read<T>, py::arg("text"))
      .def(
          "__eq__", [](T const& a, T const& b) { return a == b; }, py::is_operator())
      .def(py::pickle([](T const& v) { return nlohmann::json(v).dump(); }, &read<T>));
  for (auto const& [field, missing] : fields.items())
    type.def_property_readonly(field.c_str(), [key = field, usual = missing](T const& v) {
      return python_of(nlohmann::json(v).value(key, usual));
    });
  return type;
}

template <class Violations>
std::vector<std::string> lines_of(Violations const& found) {
  std::vector<std::string> lines;
  for (auto const& v : found) lines.push_back(to_string(v));
  return lines;
}

/// Binds shards, token splits and the programs of experts.
void bind_shards(py::module_& m);

}  // namespace planner
