#include <gtest/gtest.h>

#include <sstream>

#include "shunt/io/chrome_trace.hpp"

namespace shunt::tests::chrome_trace_test {
namespace {

TEST(chrome_trace, true_durations_in_microseconds) {
  timeline events{.seconds_per_tick = 1e-9};
  events.events.push_back({.rank = 1,
                           .iteration = 2,
                           .instruction = 3,
                           .op = {op_kind::forward, 4, 5, 6},
                           .start = 1500,
                           .end = 4250});
  events.events.push_back({.rank = 1,
                           .iteration = 2,
                           .instruction = 4,
                           .code = opcode::send,
                           .start = 4000,
                           .end = 5000});
  std::ostringstream out;
  write_trace(out, events, {.rank_names = {"zero", "the \"one\""}});
  EXPECT_EQ(out.str(), "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"
                       "{\"name\": \"forward 4:6\", \"cat\": \"compute\", \"ph\": \"X\", \"ts\": "
                       "1.5, \"dur\": 2.75, \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"iteration\": 2, \"instruction\": 3, \"stage\": 5, "
                       "\"pipeline\": 4, \"microbatch\": 6}},\n"
                       "{\"name\": \"send\", \"cat\": \"transfer\", \"ph\": \"X\", \"ts\": 4, "
                       "\"dur\": 1, \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"iteration\": 2, \"instruction\": 4}},\n"
                       "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"name\": \"the \\\"one\\\"\"}},\n"
                       "{\"name\": \"thread_sort_index\", \"ph\": \"M\", \"pid\": 0, \"tid\": 1, "
                       "\"args\": {\"sort_index\": 0}},\n"
                       "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"name\": \"the \\\"one\\\" (2)\"}},\n"
                       "{\"name\": \"thread_sort_index\", \"ph\": \"M\", \"pid\": 0, \"tid\": 3, "
                       "\"args\": {\"sort_index\": 1}}\n"
                       "]}\n");
}

}  // namespace
}  // namespace shunt::tests::chrome_trace_test
