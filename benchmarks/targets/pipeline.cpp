// The targets of the pipeline half of the library, in one table. SHUNT_BENCHMARK_JOBS=2000 gives the rows over random jobs their full size
// (and runs for minutes); 1000 and more add the row of 16,384 workers.
#include "table.hpp"

int main(int argc, char** argv) {
  using targets::row;
  constexpr auto at_least = row::side::at_least;
  std::string const real = "quality/[0-9]/[0-9]/1/[01]/iterations:1", unit = "quality/[0-9]/[0-9]/0/[01]/iterations:1";
  return targets::run(
      argc, argv,
      {
          {.what = "order + lower + check, all ranks, 2 chunks, (8,32)", .peers = "PyTorch 6.1 ms, sail-sg 92 ms", .runs = "all/p:8/m:32", .limit = 50},
          {.what = "the same at (64,256)", .peers = "PyTorch 2.0 s, sail-sg 183 s", .runs = "all/p:64/m:256", .limit = 4000},
          {.what = "the same, freed memory kept by the allocator", .runs = "all_memory_kept/p:64/m:256", .limit = 4000},
          {.what = "with a list scheduler for any costs and caps, (8,32)", .runs = "order_lower_check/8/32", .limit = 300},
          {.what = "the same at (64,256)", .runs = "order_lower_check/64/256", .limit = 25000},
          {.what = "V-half and V-min, (64,256)", .peers = "sail-sg 51 s and 36 s", .runs = "generate/v_(half|min)/64/256", .limit = 50000},
          {.what = "V-half, unequal costs, same memory: bubble against the best peer's", .peers = "10-13 % bubble", .runs = "quality/3/[0-9]/1/[01]/iterations:1", .counter = "of_peers", .limit = 100, .unit = "%"},
          {.what = "V-min, likewise", .peers = "22-27 % bubble", .runs = "quality/4/[0-9]/1/[01]/iterations:1", .counter = "of_peers", .limit = 100, .unit = "%"},
          {.what = "unit costs, all sizes: length against the best peer's", .runs = unit, .counter = "of_peers", .limit = 100, .unit = "%"},
          {.what = "real costs, all sizes: length against the best peer's", .runs = real, .counter = "of_peers", .limit = 100, .unit = "%"},
          {.what = "real costs, linear layout, twice the memory: gap to the bound", .peers = "0.0-0.9 %", .runs = "quality/1/[0-9]/1/0/iterations:1", .counter = "gap_percent", .limit = 0.9, .unit = "%"},
          {.what = "all costs times 1000: jobs that keep their orders", .peers = "sail-sg: not", .runs = "same_orders.*", .counter = "same_percent", .limit = 100, .wanted = at_least, .unit = "%"},
          {.what = "failures, unit costs: at the bound where M >= 2 S", .runs = "at_the_bound/family:0/.*", .counter = "at_bound_deep", .limit = 99.9, .wanted = at_least, .unit = "%"},
          {.what = "failures, unit costs: at the bound", .runs = "at_the_bound/family:0/.*", .counter = "at_bound", .limit = 95, .wanted = at_least, .unit = "%"},
          {.what = "failures, unit costs: mean gap", .runs = "at_the_bound/family:0/.*", .counter = "mean_gap", .limit = 0.4, .unit = "%"},
          {.what = "failures, costs 80-120: at the bound where M >= 2 S", .runs = "at_the_bound/family:1/.*", .counter = "at_bound_deep", .limit = 99.5, .wanted = at_least, .unit = "%"},
          {.what = "failures, costs 80-120: at the bound", .runs = "at_the_bound/family:1/.*", .counter = "at_bound", .limit = 90, .wanted = at_least, .unit = "%"},
          {.what = "failures, costs 80-120: mean gap", .runs = "at_the_bound/family:1/.*", .counter = "mean_gap", .limit = 0.8, .unit = "%"},
          {.what = "failures, costs 1-20: at the bound", .runs = "at_the_bound/family:2/.*", .counter = "at_bound", .limit = 85, .wanted = at_least, .unit = "%"},
          {.what = "failures, costs 1-20: mean gap", .runs = "at_the_bound/family:2/.*", .counter = "mean_gap", .limit = 1.0, .unit = "%"},
          {.what = "small jobs with caps: exact", .runs = "slipstream_improved_and_proved/[0-2]", .counter = "exact_percent", .limit = 97, .wanted = at_least, .unit = "%"},
          {.what = "small jobs with caps: mean distance to the optimum", .runs = "slipstream_improved_and_proved/[0-2]", .counter = "distance_percent", .limit = 0.1, .unit = "%"},
          {.what = "small jobs with caps, without the exact solver: exact", .runs = "slipstream_improved/[0-2]", .counter = "exact_percent", .limit = 97, .wanted = at_least, .unit = "%"},
          {.what = "small jobs with caps, without it: mean distance", .runs = "slipstream_improved/[0-2]", .counter = "distance_percent", .limit = 0.1, .unit = "%"},
          {.what = "re-plan 1,024 workers, 50 dead", .runs = "replan", .limit = 150'000},
          {.what = "the same: gap to the bound", .runs = "replan", .counter = "gap_percent", .limit = 0, .unit = "%"},
          {.what = "simulate one iteration of 16,384 workers", .runs = "simulate_iteration/512/32", .limit = 1'500'000},
      });
}
