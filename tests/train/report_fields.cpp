#include "shunt/train/report_fields.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shunt::tests::report_fields_test {
namespace {

/// The members of an object that are reported, by name.
template <class T>
std::vector<std::string> names_of(T object) {
  std::vector<std::string> all;
  fields(object, [&](std::string_view name, auto const&) { all.emplace_back(name); });
  return all;
}

TEST(report_fields, name_members) {
  EXPECT_EQ(names_of(trained_iteration{}),
            (std::vector<std::string>{"iteration", "loss", "live", "planned", "took"}));
  EXPECT_EQ(names_of(step_outcome{}),
            (std::vector<std::string>{"norm", "left_out", "clipped", "taken_back"}));
  auto const plain = names_of(loss{}), moe = names_of(moe_loss{});
  EXPECT_EQ(plain.size(), 13U);
  EXPECT_EQ(std::vector<std::string>(moe.begin(), moe.end() - 1), plain);
  EXPECT_EQ(moe.back(), "state_bytes");
}

TEST(report_fields, are_all_of_a_record) {
  moe_record written, read;
  written.loss = 2.5;
  written.loads = {3, 4};
  written.dropped = {1};
  written.fullest = {2};
  written.exchanged = {5};
  written.hosted = {6};
  written.received = {7};
  written.live = 8;
  written.misfits = 9;
  written.gradients = {1, 2, 3, 4, 5};
  written.weights = {6, 7, 8, 9, 10};
  std::map<std::string, double> numbers;
  std::map<std::string, std::vector<std::int64_t>> lists;
  fields(written, [&](std::string_view name, auto const& value) {
    if constexpr (requires { value.size(); })
      lists[std::string(name)] = value;
    else
      numbers[std::string(name)] = static_cast<double>(value);
  });
  fields(read, [&]<class Value>(std::string_view name, Value& value) {
    if constexpr (requires { value.size(); })
      value = lists.at(std::string(name));
    else
      value = static_cast<Value>(numbers.at(std::string(name)));
  });
  EXPECT_EQ(read, written);
}

}  // namespace
}  // namespace shunt::tests::report_fields_test
