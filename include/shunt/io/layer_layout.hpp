#pragma once
/// A partition of layers in the forms that other systems read.
#include <string>

#include "shunt/plan/layer_partition.hpp"
#include "shunt/problem/layer_job.hpp"

namespace shunt {

/// Returns a job whose transformer layers are whole, as both systems cut between them alone:
/// consecutive layers with the same name up to a number between dots, such as `layers.3.attention`
/// and `layers.3.moe`, become one, `layers.3`.
[[nodiscard]] layer_job whole_layers(layer_job const& job);

/// Returns the stages as Megatron-LM's `--pipeline-model-parallel-layout`, such as
/// `E|t*3|t*2|tmL`: E embedding, t transformer layer, m multi-token prediction, L loss, `|` between
/// stages. What a layer is its name says: it begins with embed, tok_embed or E; transformer,
/// decoder, layer, block or t; mtp or m; loss, head, lm_head, output or L. A single letter is a
/// name of its own, or has digits behind it.
/// Throws invalid_problem, which names the layer, where a name says none of these or is that of a
/// part of a layer (see whole_layers), or an embedding is not the first layer or a loss not the
/// last one; and where the layout is neither linear nor
/// looped, for Megatron lays its stages round the ranks.
/// Requires a plan of the job.
[[nodiscard]] std::string megatron_layout(layer_job const& job, layer_partition const& plan);

/// Returns the stages as torchtitan's `module_fqns_per_model_part`: a JSON list of the names of
/// each stage's layers, such as `[["tok_embeddings","layers.0"],["layers.1","norm","output"]]`.
/// Throws invalid_problem, which names the layer, for one without a name, for a name with a control
/// character and for a part of a layer (see whole_layers); and where the layout is custom, or a
/// wave of more than two chunks a rank, which torchtitan has no place for. Requires a plan of the
/// job.
[[nodiscard]] std::string torchtitan_modules(layer_job const& job, layer_partition const& plan);

}  // namespace shunt

#ifndef SHUNT_COMPILED
#include "shunt/io/layer_layout.ipp"
#endif
