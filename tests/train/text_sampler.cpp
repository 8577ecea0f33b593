#include "shunt/train/text_sampler.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "shunt/core/error.hpp"

namespace shunt::tests::text_sampler_test {
namespace {

text_bytes some_text(std::size_t size) {
  text_bytes all(size);
  for (std::size_t i = 0; i < size; ++i) all[i] = static_cast<std::uint8_t>(i * 7 % 251);
  return all;
}

TEST(text_sampler, data_belong_to_iteration_and_microbatch) {
  auto const bytes = some_text(100'000);
  text_sampler const text(bytes, 9, 5), same(bytes, 9, 5), other_seed(bytes, 9, 6);
  EXPECT_EQ(text(3, 4, 5), same(3, 4, 5));
  EXPECT_NE(text(3, 4, 5), text(3, 5, 4));
  EXPECT_NE(text(3, 4, 5), text(4, 3, 5));
  EXPECT_NE(text(3, 4, 5), other_seed(3, 4, 5));
  auto const tight = some_text(9);
  EXPECT_EQ(text_sampler(tight, 9, 1)(0, 0, 0), tight.data());
}

TEST(text_sampler, bad_files_are_named) {
  auto const expect = [](auto const& call, std::string const& part) {
    try {
      call();
      ADD_FAILURE() << "no complaint about " << part;
    } catch (invalid_problem const& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  auto const folder = std::filesystem::path(testing::TempDir()) / "shunt_text";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "empty.txt").flush();
  expect([&] { (void)read_text(folder / "none.txt"); }, "none.txt");
  expect([&] { (void)read_text(folder / "empty.txt"); }, "empty.txt is empty");
  expect([&] { (void)read_text(folder); }, "is a directory");
  auto const bytes = some_text(8);
  expect([&] { text_sampler(bytes, 9, 1); }, "has 8 bytes, a sample needs 9");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace shunt::tests::text_sampler_test
