#pragma once
/// Token-to-slot dispatch on a device, over a Thrust execution policy.
#include <thrust/binary_search.h>
#include <thrust/copy.h>
#include <thrust/fill.h>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>

#include <cstdint>

#include "shunt/core/host_device.hpp"

namespace shunt {

/// Arguments and results of `dispatch_tokens` for one rank and layer. n = tokens x experts a token:
/// a token that goes to several experts counts once for each.
/// Requires pointers to memory that the policy can access.
struct token_dispatch {
  std::int32_t n = 0;
  std::int32_t experts = 0;
  std::int64_t rows = 0;                          ///< of the outgoing buffer
  std::int32_t const* expert_of_token = nullptr;  ///< n; negative: no expert
  std::int64_t const* tokens = nullptr;      ///< slots: this rank's row of split_layers::tokens
  std::int32_t const* hosted = nullptr;      ///< split_layers::hosted of this layer
  std::int32_t const* hosted_end = nullptr;  ///< split_layers::hosted_end of this layer
  std::int64_t const* first_row = nullptr;   ///< split_layers::first_row of this layer
  std::int32_t* row_of = nullptr;            ///< n, written: the row of each token; -1: dropped
  std::int32_t* token_of = nullptr;          ///< rows, written: the token in each row; -1: empty
  std::uint32_t* sorted = nullptr;           ///< workspace: n
  std::int32_t* order = nullptr;             ///< workspace: n
  std::int32_t* first = nullptr;             ///< workspace: experts
};

namespace detail {

/// Assigns a row to the token at position i of the sorted list. Tokens of an expert fill its slots
/// in order, as many as the split gives each.
struct take_row {
  token_dispatch d;

  SHUNT_HD void operator()(std::int32_t i) const {
    std::uint32_t const e = d.sorted[i];
    std::int32_t const token = d.order[i];
    d.row_of[token] = -1;
    if (e >= static_cast<std::uint32_t>(d.experts)) return;
    std::int64_t at = i - d.first[e];
    for (std::int32_t k = e == 0 ? 0 : d.hosted_end[e - 1]; k < d.hosted_end[e]; ++k) {
      std::int32_t const slot = d.hosted[k];
      if (at < d.tokens[slot]) {
        auto const row = static_cast<std::int32_t>(d.first_row[slot] + at);
        d.row_of[token] = row;
        d.token_of[row] = token;
        return;
      }
      at -= d.tokens[slot];
    }
  }
};

}  // namespace detail

/// Computes the row of the outgoing buffer of each token (row_of) and the token of each row
/// (token_of).
/// The first tokens of an expert go to its first slot up to that slot's share, and so on; the last
/// ones that find no slot are dropped.
/// `policy` is `thrust::cpp::par` on a host and `on_stream(memory)` (on_stream.cuh) on a device.
/// Throws what Thrust throws under that policy.
/// Complexity: O(n), a radix sort.
template <class Policy>
void dispatch_tokens(Policy const& policy, token_dispatch const& d) {
  // As unsigned numbers, tokens without an expert sort last.
  thrust::copy_n(policy, d.expert_of_token, d.n, d.sorted);
  thrust::sequence(policy, d.order, d.order + d.n);
  thrust::stable_sort_by_key(policy, d.sorted, d.sorted + d.n, d.order);
  thrust::counting_iterator<std::uint32_t> const expert(0);
  thrust::lower_bound(policy, d.sorted, d.sorted + d.n, expert, expert + d.experts, d.first);
  thrust::fill_n(policy, d.token_of, d.rows, -1);
  thrust::for_each_n(policy, thrust::counting_iterator<std::int32_t>(0), d.n, detail::take_row{d});
}

}  // namespace shunt
