// Memory may run out at any allocation of any solver, lowering and reader: the call then throws
// bad_alloc, or does without, and keeps nothing. This program has its own operator new.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "shunt/check/pipeline.hpp"
#include "shunt/check/program.hpp"
#include "shunt/io/csv.hpp"
#include "shunt/io/read_pytorch_csv.hpp"
#include "shunt/json/experts.hpp"
#include "shunt/json/pipeline.hpp"
#include "shunt/json/program.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/lower/pipeline.hpp"
#include "shunt/solve.hpp"

namespace {

std::int64_t live = 0;   // allocations that were not freed
std::int64_t left = -1;  // allocations until one fails; -1: none fails

void* allocated(std::size_t size, std::size_t alignment) {
  if (left == 0) {
    left = -1;
    throw std::bad_alloc();
  }
  if (left > 0) --left;
  void* const p = alignment == 0
                      ? std::malloc(std::max<std::size_t>(size, 1))
                      : std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);
  if (!p) throw std::bad_alloc();
  ++live;
  return p;
}
void freed(void* p) noexcept {
  if (!p) return;
  --live;
  std::free(p);
}

}  // namespace

void* operator new(std::size_t size) { return allocated(size, 0); }
void* operator new[](std::size_t size) { return allocated(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocated(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { freed(p); }
void operator delete[](void* p) noexcept { freed(p); }
void operator delete(void* p, std::size_t) noexcept { freed(p); }
void operator delete[](void* p, std::size_t) noexcept { freed(p); }
void operator delete(void* p, std::align_val_t) noexcept { freed(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { freed(p); }

namespace shunt::tests::allocation_failure_test {
namespace {

/// Lets each allocation of a call fail, or `most` of them where there are more.
template <class Call>
void survives(std::string const& name, Call const& call, std::int64_t most = 400) {
  SCOPED_TRACE(name);
  constexpr std::int64_t plenty = std::int64_t{1} << 60;
  left = plenty;
  auto const expected = call();
  std::int64_t const count = plenty - std::exchange(left, -1);
  std::int64_t const step = std::max<std::int64_t>(1, count / most);
  std::int64_t thrown = 0, kept = 0;
  for (std::int64_t k = 0; k < count; k += step) {
    auto const before = live;
    left = k;
    bool same = true;
    try {
      same = call() == expected;
    } catch (std::bad_alloc const&) {
      ++thrown;
    }
    left = -1;
    kept += live - before;
    EXPECT_TRUE(same) << "allocation " << k << " of " << count;
  }
  EXPECT_EQ(kept, 0) << "allocations that were not freed";
  EXPECT_GT(thrown, 0) << "of " << count;
}

pipeline_job const straight{
    .pipelines = 2, .stages = 4, .microbatches = 4, .costs = {2, 2, 1, 1}, .transfer = 1};

template <class Solver>
void plans(Solver const& solver, pipeline_job const& job = straight) {
  survives(std::string(Solver::name), [&] { return solver(job); });
}

TEST(allocation_failure, in_every_pipeline_solver) {
  plans(gpipe{});
  plans(one_f_one_b{});
  plans(zb_h1{});
  plans(zb_h2{.effort = 2000});
  plans(zero_bubble{.effort = 2000});
  plans(slipstream{.effort = 2000});
  plans(branch_and_bound{}, {.stages = 2, .microbatches = 2});
  auto lost = straight;
  lost.dead = {{0, 1}};
  plans(slipstream{.effort = 2000}, lost);
  auto looped = straight;
  looped.layout = stage_layout::looped(2);
  plans(interleaved_one_f_one_b{}, looped);
  plans(interleaved_zero_bubble{}, looped);
  plans(looped_bfs{}, looped);
  auto v = straight;
  v.layout = stage_layout::v_shaped();
  plans(zb_v{.effort = 2000}, v);
  plans(v_half{.effort = 2000}, v);
  plans(dual_pipe_v{}, v);
  auto both = straight;
  both.layout = stage_layout::bidirectional();
  plans(chimera{}, both);
  plans(dual_pipe{}, both);
}

TEST(allocation_failure, in_judges_and_lowerings) {
  auto const plan = slipstream{}(straight).plan;
  survives("lower", [&] { return lower(straight, plan); });
  auto const p = lower(straight, plan);
  survives("check a plan", [&] { return check(straight, plan).size(); });
  survives("check a program", [&] { return check(p).size(); });
}

TEST(allocation_failure, in_every_expert_solver) {
  expert_layers layers{.layers = 2, .experts = 12, .slots_per_rank = {4, 4, 4, 4}};
  for (std::int64_t e = 0; e < 24; ++e) layers.loads.push_back(e * e % 97 + 1);
  auto const place = [&](auto const& solver) {
    survives(std::string(solver.name), [&] { return solver(layers); });
  };
  place(uniform{});
  place(swift_moe{});
  place(eplb{});
  place(balanced{.effort = 2000});
  place(lazarus{});
  place(flexmoe{});
  place(spilled_groups{});
  place(incremental{});
  layers.previous = eplb{}(layers).plan.expert_of;
  place(incremental{});
  place(elastic{.moves = 3, .effort = 50, .first = {.effort = 500}});
}

TEST(allocation_failure, in_every_reader) {
  auto const reads = [](char const* name, std::string const& text, auto const& read) {
    survives(name, [&] {
      std::istringstream in(text);
      return read(in);
    });
  };
  reads("csv", "1,2,3\n4,5,6\n", [](std::istream& in) { return read_csv(in, "t"); });
  reads("pytorch", "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n",
        [](std::istream& in) { return read_pytorch_csv(in, "t").schedule; });
  // From the document, whose own destructor allocates and can't fail.
  auto const json = [&]<class T>(char const* name, T const& value) {
    nlohmann::json const written = value;
    survives(name, [&] {
      T found;
      read(json_reader(written), found);
      return found;
    });
  };
  json("job", straight);
  auto const plan = one_f_one_b{}(straight).plan;
  json("schedule", plan);
  json("program", lower(straight, plan));
  json("layers", expert_layers{.layers = 1, .experts = 2, .loads = {5, 6}, .slots_per_rank = {2}});
}

}  // namespace
}  // namespace shunt::tests::allocation_failure_test
