#include "shunt/gloo/config.hpp"

#include <gtest/gtest.h>

#include "shunt/launch/disk_files.hpp"

namespace shunt::tests::config_test {
namespace {

TEST(config, has_its_directory_on_the_disk) {
  EXPECT_NE(dynamic_cast<disk_files const*>(gloo_config{}.files.get()), nullptr);
}

}  // namespace
}  // namespace shunt::tests::config_test
