#pragma once
#include <cstdint>
#include <vector>

#include "shunt/core/config.hpp"

namespace shunt {

/// Layers first .. end-1 on GPUs of one node.
struct template_stage {
  std::int32_t first = 0;
  std::int32_t end = 0;
  std::int32_t gpus = 1;

  bool operator==(template_stage const&) const = default;
};

/// How a pipeline on some number of nodes is cut into stages. Stages follow each other over the
/// GPUs: those of a node take all of its GPUs.
struct pipeline_template {
  std::int32_t nodes = 1;
  std::vector<template_stage> stages{};
  double time = 0;                ///< by the cost of the set that it belongs to
  std::int64_t microbatches = 0;  ///< that `time` is for; 0: by the published formula

  bool operator==(pipeline_template const&) const = default;
};

/// Templates of one problem, ascending in nodes, at most one for each number.
struct template_set {
  std::vector<pipeline_template> templates{};

  /// Returns the template of so many nodes; null where there is none.
  [[nodiscard]] pipeline_template const* of(std::int64_t nodes) const;
  bool operator==(template_set const&) const = default;
};

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/plan/pipeline_template.ipp"
#endif
