#pragma once
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

/// Where the tokens of one rank and layer go. A token that goes to several experts counts once for
/// each: n = tokens x experts a token. Pointers belong to the memory of the policy that
/// dispatch_tokens is called with.
struct token_dispatch {
  std::int32_t n = 0;
  std::int32_t experts = 0;
  std::int64_t rows = 0;                          ///< of the outgoing buffer
  std::int32_t const* expert_of_token = nullptr;  ///< n; negative: to none
  std::int64_t const* tokens = nullptr;      ///< slots: this rank's row of split_layers::tokens
  std::int32_t const* hosted = nullptr;      ///< split_layers::hosted of this layer
  std::int32_t const* hosted_end = nullptr;  ///< split_layers::hosted_end of this layer
  std::int64_t const* first_row = nullptr;   ///< split_layers::first_row of this layer
  std::int32_t* row_of = nullptr;            ///< n, written: the row of each token; -1: dropped
  std::int32_t* token_of = nullptr;          ///< rows, written: the token in each row; -1: empty
  std::uint32_t* sorted = nullptr;           ///< room for n
  std::int32_t* order = nullptr;             ///< room for n
  std::int32_t* first = nullptr;             ///< room for one an expert
};

namespace detail {

/// The token at position i of the sorted list takes its place: those of one expert fill its slots,
/// in order, by the shares of the split.
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

/// Token-to-slot dispatch: which row of the outgoing buffer each token takes (row_of), and which
/// token each row holds (token_of). The first tokens of an expert go to its first slot until that
/// has its share, and so on; what is left over is dropped, so the last ones are. Written against a
/// Thrust execution policy: `thrust::cpp::par` on a host, what on_stream.cuh says on a device. O(n)
/// radix sort.
template <class Policy>
void dispatch_tokens(Policy const& policy, token_dispatch const& d) {
  thrust::copy_n(policy, d.expert_of_token, d.n, d.sorted);  // unsigned: tokens to none come last
  thrust::sequence(policy, d.order, d.order + d.n);
  thrust::stable_sort_by_key(policy, d.sorted, d.sorted + d.n, d.order);
  thrust::counting_iterator<std::uint32_t> const expert(0);
  thrust::lower_bound(policy, d.sorted, d.sorted + d.n, expert, expert + d.experts, d.first);
  thrust::fill_n(policy, d.token_of, d.rows, -1);
  thrust::for_each_n(policy, thrust::counting_iterator<std::int32_t>(0), d.n, detail::take_row{d});
}

}  // namespace shunt
