#pragma once
/// Figures of other people that the tables are made of or compared with, each with its source.
#include <array>
#include <cstdint>
#include <string_view>

#include "artifact.hpp"

namespace reproduce_papers {

/// The traces of Oobleck's artifact (tests/data/failures, MIT licence): synthetic, one removal each
/// 6 h, 1 h, 30 min and 10 min; gcp and p3 are recorded and scaled to 15 to 30 nodes.
inline constexpr std::array<std::string_view, 6> trace_names{"6h", "1h", "30m", "10m", "gcp", "p3"};

/// A table of the artifact's simulators (tools/simulator, branch sosp23-artifact), and the means
/// that those print for the six traces, in samples/s.
struct recorded_table {
  artifact_table table{};
  std::array<double, 6> means{};
};

// clang-format off
inline constexpr std::array oobleck_tables{
    recorded_table{{"BERT-large", 8192, 2'000, 0, true,
                    {368.2457947, 362.2151579, 328.35419, 327.7784909, 329.1392983, 307.2134406,
                     304.4540075, 278.5264442, 285.8442276, 260.3144683, 261.6788898, 243.5568988,
                     228.0545262, 209.2082907, 214.8045205, 192.304776}},
                   {287.10, 286.28, 285.15, 282.11, 243.69, 221.40}},
    recorded_table{{"GPT-2", 1024, 2'000, 0, true,
                    {110.006361, 109.6700319, 98.83702293, 100.0745098, 99.47997185, 91.01817697,
                     90.52226774, 83.40446265, 83.33064533, 76.94978926, 76.71496194, 71.58697434,
                     66.7500461, 63.01561583, 62.74772262, 55.9161269}},
                   {85.59, 85.42, 85.23, 84.81, 73.06, 66.83}},
    recorded_table{{"GPT-3 medium", 819, 3'000, 0, true,
                    {38.46834258, 37.18606449, 35.90378641, 34.62150832, 33.33923024, 31.66581788,
                     30.24118675, 28.96443398, 27.77451984, 26.68489205, 25.68850493, 23.82505659,
                     23.0340881, 21.57654709, 20.86545671, 19.10313139}},
                   {29.305, 29.205, 29.114, 28.700, 24.599, 22.490}},
    recorded_table{{"GPT-3 2.7B", 512, 6'000, 0, true,
                    {9.214308445, 8.90716483, 8.600021215, 8.2928776, 7.985733985, 7.627088295,
                     7.512265791, 7.435358417, 7.052828884, 6.704817778, 6.797312924, 6.105000318,
                     6.115063714, 5.630658991, 5.630621249, 5.130663366}},
                   {7.290, 7.229, 7.180, 6.890, 6.125, 5.417}},
    recorded_table{{"GPT-3 6.7B", 1024, 10'000, 0, true,
                    {5.507784136, 5.324191332, 5.140598527, 4.957005722, 4.773412918, 4.808826127,
                     4.329925297, 4.185194343, 3.947198754, 4.010855553, 4.15443025, 3.71233106,
                     3.593275995, 3.283996229, 3.530908551, 0}},
                   {4.329, 4.223, 4.112, 3.546, 2.918, 2.678}},
};
/// GPT-3 medium does not fall back here: so eval_gcp_ec2.py asks for it (no_small_model_fallback).
inline constexpr std::array varuna_tables{
    recorded_table{{"GPT-3 medium", 819, 78'700, 11'200, false,
                    {41.99773336, 38.88588843, 38.88588843, 35.85035677, 33.42576818, 33.42576818,
                     33.42576818, 28.26386056, 28.26386056, 28.26386056, 28.23158201, 25.26139038,
                     25.26139038, 22.8891583, 22.8891583, 20.91158092}},
                   {29.68, 29.54, 29.31, 28.58, 24.60, 21.79}},
    recorded_table{{"GPT-3 2.7B", 512, 515'000, 50'000, true,
                    {9.767532721, 9.424740405, 9.424740405, 9.099911677, 9.099911677, 9.099911677,
                     9.099911677, 7.469736582, 7.469736582, 7.469736582, 7.469736582, 6.424614304,
                     6.424614304, 6.424614304, 6.424614304, 4.863785398}},
                   {7.27, 6.54, 5.83, 1.76, .915, .597}},
    recorded_table{{"GPT-3 6.7B", 1024, 701'000, 120'000, true,
                    {5.240635953, 5.240635953, 5.240635953, 5.096885803, 5.096885803, 5.096885803,
                     5.096885803, 4.503390788, 4.503390788, 4.503390788, 4.503390788, 3.953767179,
                     3.953767179, 3.953767179, 3.953767179, 3.016421755}},
                   {4.145, 2.688, 1.056, .255, 0, 0}},
};
/// The other models are out of memory under Bamboo.
inline constexpr std::array bamboo_tables{
    recorded_table{{"BERT-large", 8192, 76'000, 0, true,
                    {119.2546584, 99.37888199, 99.37888199, 99.37888199, 99.37888199, 99.37888199,
                     99.37888199, 74.53416149, 74.53416149, 74.53416149, 74.53416149, 74.53416149,
                     74.53416149, 49.68944099, 49.68944099, 49.68944099}},
                   {77.04, 75.60, 75.46, 69.84, 68.03, 63.62}},
    recorded_table{{"GPT-2", 1024, 80'000, 0, true,
                    {27.02956359, 22.52463632, 22.52463632, 22.52463632, 22.52463632, 22.52463632,
                     22.52463632, 16.89347724, 16.89347724, 16.89347724, 16.89347724, 16.89347724,
                     16.89347724, 11.26231816, 11.26231816, 11.26231816}},
                   {17.47, 17.13, 17.16, 16.01, 15.44, 14.30}},
};
// clang-format on

/// What events cost the systems in the artifact, by model.
struct published_costs {
  std::string_view model{};
  double oobleck_stop = 0;       ///< seconds
  double bamboo_stop = 0;        ///< seconds
  double varuna_restart = 0;     ///< seconds
  double varuna_checkpoint = 0;  ///< seconds, each 10 iterations
  double iteration = 0;          ///< seconds of an iteration of Oobleck on 30 nodes
  bool bamboo_fits = false;      ///< on the SlipStream authors' 350M model; larger ones do not
  double parameters = 0;
};
inline constexpr std::array models{
    published_costs{"medium", 3, 100, 78.7, 11.2, 819 / 38.46834258, true, .35e9},
    published_costs{"2.7B", 6, 230, 515, 50, 512 / 9.214308445, false, 2.7e9},
    published_costs{"6.7B", 10, 450, 701, 120, 1024 / 5.507784136, false, 6.7e9},
};

/// SlipStream (there ReCycle) on 24, 23 .. 15 GPUs, samples/s, digitised from the authors' charts:
/// SOSP 2024 slides, page 32 (GPT-3 3.5B; the poster calls it 6.7B), and poster (GPT-3 350M).
inline constexpr std::array<double, 10> slipstream_large{11.34, 11.29, 10.89, 10.68, 10.47,
                                                         9.49,  9.31,  9.13,  8.90,  8.85};
inline constexpr std::array<double, 10> slipstream_350m{20.44, 20.35, 19.37, 19.13, 18.37,
                                                        17.10, 16.77, 16.44, 16.02, 15.93};
/// Seconds that the authors' 24-GPU trace has so many GPUs, 24 .. 15 (slides, page 27, digitised).
inline constexpr std::array<double, 10> seconds_of_counts{3888, 5760, 4464, 5040, 864,
                                                          432,  864,  576,  432,  432};
/// Changes of that number over the trace.
inline constexpr int changes_of_counts = 37;
/// What slides and poster print, and what the charts say of Oobleck: its mean over the trace and
/// that of its rates without what changes cost (samples/s, the large model).
inline constexpr double slipstream_large_mean = 10.8, slipstream_350m_mean = 19.4;
inline constexpr double oobleck_large_mean = 9.01, oobleck_large_steady = 10.38;

/// Bamboo without failures over the other systems, GPT-3 350M (poster, digitised).
inline constexpr double measured_share = 13.30 / 20.44;

}  // namespace reproduce_papers
