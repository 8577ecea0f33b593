// This library beside plain references, in one table whose ratios hold on any machine: EPLB's rule
// with heaps, a textbook generator of pipelines with a plain check, a copy, a bare hand-over
// between two threads. Every ratio is the median of pairs of passes in turn.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../expert_loads.hpp"
#include "../idle_programs.hpp"
#include "eplb_heaps.hpp"
#include "score.hpp"
#include "shunt/check/pipeline_actions.hpp"
#include "shunt/core/id.hpp"
#include "shunt/core/indexed.hpp"
#include "shunt/core/units.hpp"
#include "shunt/execute/inline_executor.hpp"
#include "shunt/execute/thread_executor.hpp"
#include "shunt/lower/pipeline_messages.hpp"
#include "shunt/problem/expert_layers.hpp"
#include "shunt/problem/pipeline_job.hpp"
#include "shunt/problem/stage_layout.hpp"
#include "shunt/solve/experts/eplb.hpp"
#include "shunt/solve/pipeline/interleaved_one_f_one_b.hpp"
#include "textbook_pipeline.hpp"

namespace {

using namespace shunt;
using score::contest;

void require(bool same, char const* what) {
  if (!same) throw std::runtime_error(what);
}

/// The whole solver, with validation, objective and bound, against the rule alone. Both give the
/// same placement, so the same largest rank load.
contest place_experts(std::int32_t experts, std::int32_t slots, std::int32_t ranks) {
  constexpr std::int32_t layers = 512;
  auto const p =
      std::make_shared<expert_layers>(expert_loads::skewed(layers, experts, slots, ranks));
  auto by_heaps =
      [p, rule = heaps::eplb_rule(),
       placed = std::vector<expert_id>(static_cast<std::size_t>(slots))](auto const& take) mutable {
        for (layer_id l : ids<layer_id>(layers)) {
          rule(p->loads_of(l), p->slots_per_rank, placed);
          take(l, placed);
        }
      };
  auto const plan = eplb{}(*p).plan;
  by_heaps([&](layer_id l, auto const& placed) {
    require(std::ranges::equal(placed, plan.layer(l)), "eplb differs from its rule with heaps");
  });
  return {[p] { benchmark::DoNotOptimize(eplb{}(*p)); },
          [by_heaps]() mutable {
            by_heaps([](layer_id, auto& placed) {
              benchmark::DoNotOptimize(placed.data());
              benchmark::ClobberMemory();
            });
          },
          layers};
}

/// Two chunks a rank: the lists of all ranks with their messages, checked.
contest lay_out_pipeline(std::int32_t ranks, std::int32_t microbatches) {
  pipeline_job job{.stages = 2 * ranks, .microbatches = microbatches};
  job.layout = stage_layout::looped(2);
  return {[job] {
            auto const plan = interleaved_one_f_one_b{}.order(job);
            require(check(job, plan, place_messages(job, plan)).empty(), "a broken pipeline");
          },
          [book = textbook::interleaved_pipeline(ranks, 2, microbatches)] {
            require(book.check(book.order()), "a broken pipeline of the textbook");
          }};
}

/// Messages there and back on one thread.
contest copy_messages(byte_count bytes) {
  constexpr std::int32_t rounds = 100;
  auto const p = idle::ping_pong(rounds, bytes);
  auto const memory = std::make_shared<idle::work>(2, 2 * bytes);
  return {[=] { benchmark::DoNotOptimize(inline_executor{}.run(*p, *memory)); },
          [=] {
            auto const size = static_cast<std::size_t>(bytes);
            auto* const here = memory->buffer(0, 0).data();
            auto* const there = memory->buffer(1, 0).data() + size;
            for (std::int32_t n = 0; n < 2 * rounds; ++n) {
              std::memcpy(n % 2 ? here : there, n % 2 ? there : here, size);
              benchmark::ClobberMemory();
            }
          },
          2.0 * rounds};
}

/// 64 bytes there and back between two threads, which the reference hands over by one atomic
/// number.
contest hand_over() {
  constexpr std::int32_t rounds = 5000;
  auto const p = idle::ping_pong(rounds);
  auto const memory = std::make_shared<idle::work>(2);
  return {[=] { benchmark::DoNotOptimize(thread_executor{}.run(*p, *memory)); },
          [=] {
            std::atomic<std::int32_t> handed{0};
            auto const take_turns = [&](std::int32_t self) {
              auto const from = memory->buffer(1 - self, 0), to = memory->buffer(self, 0);
              for (std::int32_t n = self; n < 2 * rounds; n += 2) {
                while (handed.load(std::memory_order_acquire) != n) std::this_thread::yield();
                std::memcpy(to.data(), from.data(), 64);
                handed.store(n + 1, std::memory_order_release);
              }
            };
            std::thread other(take_turns, 1);
            take_turns(0);
            other.join();
          },
          2.0 * rounds};
}

}  // namespace

int main(int argc, char** argv) {
  std::string const heaps = "the rule with heaps", book = "textbook and plain check",
                    epyc = " (2 cores of an EPYC)", shared = " (2 shared cores)";
  return score::run(argc, argv,
                    {
                        {.name = "eplb/16x64x16",
                         .what = "`eplb`, 16 experts in 64 slots of 16 ranks, a layer",
                         .reference = heaps,
                         .target = 4.5,
                         .peers = "TensorRT-LLM 4.2 us, EPLB 1.2 ms" + epyc,
                         .prepare = [] { return place_experts(16, 64, 16); }},
                        {.name = "eplb/256x288x32",
                         .what = "256 experts in 288 slots of 32 ranks",
                         .reference = heaps,
                         .target = 7,
                         .peers = "TensorRT-LLM 24-28 us, EPLB 10.7 ms" + epyc,
                         .prepare = [] { return place_experts(256, 288, 32); }},
                        {.name = "eplb/384x448x64",
                         .what = "384 experts in 448 slots of 64 ranks",
                         .reference = heaps,
                         .target = 7,
                         .peers = "TensorRT-LLM 48 us, EPLB 28 ms" + epyc,
                         .prepare = [] { return place_experts(384, 448, 64); }},
                        {.name = "pipeline/8x32",
                         .what = "order, messages, check: 8 ranks, 2 chunks, 32 micro-batches",
                         .reference = book,
                         .target = 0.3,
                         .peers = "PyTorch 2.14.1 6.5 ms, sail-sg 92 ms" + shared,
                         .prepare = [] { return lay_out_pipeline(8, 32); }},
                        {.name = "pipeline/64x256",
                         .what = "64 ranks, 2 chunks, 256 micro-batches",
                         .reference = book,
                         .target = 0.25,
                         .peers = "PyTorch 2.14.1 3.1 s, sail-sg 183 s" + shared,
                         .prepare = [] { return lay_out_pipeline(64, 256); }},
                        {.name = "copy/64KiB",
                         .what = "`inline_executor`, a message of 64 KiB",
                         .reference = "a copy",
                         .target = 0.3,
                         .prepare = [] { return copy_messages(64 << 10); }},
                        {.name = "copy/1MiB",
                         .what = "a message of 1 MiB",
                         .reference = "a copy",
                         .target = 0.4,
                         .prepare = [] { return copy_messages(1 << 20); }},
                        {.name = "hand_over",
                         .what = "`thread_executor`, a message of 64 bytes to a waiting rank",
                         .reference = "an atomic number",
                         .target = 0.3,
                         .peers = "PyTorch's runtime 730 us an action" + shared,
                         .prepare = hand_over,
                         .time = score::counted::clock},
                    });
}
