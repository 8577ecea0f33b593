#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "shunt/launch/rendezvous_client.hpp"
#include "shunt/launch/rendezvous_server.hpp"
#include "shunt/nccl/rendezvous.hpp"
#include "support/nccl_parties.hpp"
#include "support/scratch_directory.hpp"

namespace shunt::tests::rendezvous_test {
namespace {

using namespace detail;
using namespace nccl_parties;

TEST(rendezvous, names_one_identity_and_whoever_is_missing_or_double) {
  scratch_directory const here;
  nccl_rendezvous const at{.directory = here.path, .patience = 50ms};
  auto const all = every_rank(3);
  auto const come = [&](std::int32_t epoch, rank_id self, std::string const& device) {
    return rendezvous(at, epoch, all, self, device, [&] { return 77 + self.value(); });
  };
  auto const name = [](rank_id r) { return "device " + std::to_string(r.value()); };
  EXPECT_EQ(together(3,
                     [&](rank_id r) {
                       EXPECT_EQ(rendezvous(nccl_rendezvous{here.path}, 0, all, r, name(r),
                                            [&] { return 77 + r.value(); }),
                                 77);
                     }),
            nothing(3));
  auto errors = together(3, [&](rank_id r) { (void)come(0, r, name(r)); });
  EXPECT_TRUE(
      contains(errors[2],
               "rank 2 is there already, in epoch 0; is the directory left over from another run?"))
      << errors[2];
  errors = together(2, [&](rank_id r) { (void)come(1, r, name(r)); });
  for (auto const& e : errors)
    EXPECT_TRUE(contains(e, "after 50 ms rank 2 did not come to epoch 1")) << e;
  errors = together(3, [&](rank_id r) { (void)come(2, r, name(r.value() / 2)); });
  EXPECT_TRUE(contains(errors[0], "ranks 0 and 1 use the same device, device 0")) << errors[0];
  EXPECT_TRUE(contains(together(1,
                                [&](rank_id r) {
                                  (void)rendezvous(nccl_rendezvous{"/proc/no/such"}, 0, all, r, "",
                                                   [] { return 1; });
                                })[0],
                       "can't meet there"));
}

// The same without a directory: in the memory of a process, behind its port.
TEST(rendezvous, names_one_identity_at_a_port) {
  auto server = std::make_unique<rendezvous_server>(rendezvous_server::config{.key = "secret"});
  auto const port = server->port();
  auto const all = every_rank(3);
  auto const come = [&](std::int32_t epoch, rank_id self, std::string const& device) {
    nccl_rendezvous const at{
        .directory = "run",
        .patience = 20s,
        .files = std::make_shared<rendezvous_client const>(rendezvous_client::config{
            .host = "127.0.0.1", .port = port, .key = "secret", .patience = 20s})};
    return rendezvous(at, epoch, all, self, device, [&] { return 77 + self.value(); });
  };
  EXPECT_EQ(
      together(
          3, [&](rank_id r) { EXPECT_EQ(come(0, r, "device " + std::to_string(r.value())), 77); }),
      nothing(3));
  EXPECT_TRUE(contains(together(1, [&](rank_id r) { (void)come(0, r, ""); })[0],
                       "rank 0 is there already, in epoch 0"));
  EXPECT_TRUE(contains(together(3, [&](rank_id r) { (void)come(1, r, "device"); })[0],
                       "use the same device, device"));
  auto const waits = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(50ms);
    server.reset();
  });
  EXPECT_TRUE(contains(together(1, [&](rank_id r) { (void)come(2, r, "device"); })[0],
                       "the process that held the rendezvous has gone"));
}

}  // namespace
}  // namespace shunt::tests::rendezvous_test
