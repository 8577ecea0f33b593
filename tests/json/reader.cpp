#include <gtest/gtest.h>

#include <sstream>

#include <nlohmann/json.hpp>

#include "shunt/json/pipeline.hpp"
#include "shunt/json/reader.hpp"
#include "shunt/problem/pipeline_job.hpp"

namespace shunt::tests::reader_test {
namespace {

using nlohmann::json;

TEST(reader, text_that_is_no_json) {
  for (char const* text : {"", "{", "[1, 2", "{} {}"}) {
    std::istringstream in(text);
    EXPECT_THROW(static_cast<void>(read_json<pipeline_job>(in, "job.json")), invalid_problem)
        << text;
  }
}

}  // namespace
}  // namespace shunt::tests::reader_test
