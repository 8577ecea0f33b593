#include <gtest/gtest.h>

#include <string>

#include "shunt/cuda/error.hpp"

namespace shunt::tests::error_test {
namespace {

TEST(error, name_the_call_and_who_made_it) {
  cuda_check(cudaSuccess, "cudaMalloc");
  auto const line = std::to_string(__LINE__ + 2);
  try {
    cuda_check(cudaErrorInvalidValue, "cudaMemcpyAsync");
    FAIL();
  } catch (cuda_error const& e) {
    std::string const what = e.what();
    EXPECT_NE(what.find("cudaMemcpyAsync: cudaErrorInvalidValue, invalid argument ("),
              std::string::npos)
        << what;
    EXPECT_NE(what.find("error.cpp:" + line + ")"), std::string::npos) << what;
    EXPECT_EQ(e.code(), cudaErrorInvalidValue);
  }
  EXPECT_THROW(cuda_check(cudaErrorMemoryAllocation, "cudaMalloc of 5 bytes"), cuda_out_of_memory);
}

}  // namespace
}  // namespace shunt::tests::error_test
