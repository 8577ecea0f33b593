#include "shunt/launch/environment.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "shunt/core/error.hpp"

namespace shunt::tests::environment_test {
namespace {

/// Variables, and none of a launcher beside them; what was there comes back.
class variables {
 public:
  variables(std::initializer_list<std::pair<char const*, char const*>> set) {
    for (std::size_t i = 0; i < std::size(all); ++i) {
      if (char const* const before = std::getenv(all[i])) before_[i] = before;
      ::unsetenv(all[i]);
    }
    for (auto const& [name, value] : set) ::setenv(name, value, 1);
  }
  variables(variables const&) = delete;
  variables& operator=(variables const&) = delete;
  ~variables() {
    for (std::size_t i = 0; i < std::size(all); ++i)
      if (before_[i])
        ::setenv(all[i], before_[i]->c_str(), 1);
      else
        ::unsetenv(all[i]);
  }

 private:
  static constexpr char const* all[] = {"RANK",
                                        "WORLD_SIZE",
                                        "LOCAL_RANK",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "PMI_RANK",
                                        "PMI_SIZE",
                                        "MPI_LOCALRANKID",
                                        "SLURM_PROCID",
                                        "SLURM_NTASKS",
                                        "SLURM_LOCALID",
                                        "TORCHELASTIC_RUN_ID",
                                        "TORCHELASTIC_USE_AGENT_STORE",
                                        "MASTER_ADDR",
                                        "MASTER_PORT"};
  std::optional<std::string> before_[std::size(all)];
};

std::string refusal() {
  try {
    (void)launched_process_of_environment();
    (void)master_of_environment();
  } catch (invalid_problem const& error) {
    return error.what();
  }
  return "";
}

TEST(environment, every_launcher_is_known) {
  {
    variables const none{};
    EXPECT_FALSE(launched_process_of_environment());
    EXPECT_FALSE(master_of_environment());
  }
  for (auto const& [rank, size, local] :
       {std::tuple("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
        {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
        {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"}}) {
    variables const set{{rank, "5"}, {size, "8"}};
    auto const found = launched_process_of_environment();
    ASSERT_TRUE(found) << rank;
    EXPECT_EQ(found->rank, 5);
    EXPECT_EQ(found->size, 8);
    EXPECT_FALSE(found->local_rank);
    ::setenv(local, "1", 1);
    EXPECT_EQ(launched_process_of_environment()->local_rank, 1);
    EXPECT_NO_THROW(found->require_size(8, ""));
    try {
      found->require_size(9, "there are 9 ranks");
      FAIL();
    } catch (invalid_problem const& error) {
      EXPECT_EQ(error.what(), std::string(size) + ": is 8, there are 9 ranks");
    }
  }
}

TEST(environment, half_a_launcher_and_nonsense_are_refused) {
  auto const refused = [](std::initializer_list<std::pair<char const*, char const*>> set) {
    variables const here(set);
    return refusal();
  };
  EXPECT_EQ(refused({{"RANK", "1"}}), "WORLD_SIZE: is not set");
  EXPECT_EQ(refused({{"PMI_SIZE", "4"}}), "PMI_RANK: is not set");
  EXPECT_EQ(refused({{"RANK", "4"}, {"WORLD_SIZE", "4"}}), "RANK: must be at most 3, is 4");
  EXPECT_EQ(refused({{"RANK", "-1"}, {"WORLD_SIZE", "4"}}), "RANK: must be at least 0, is -1");
  EXPECT_EQ(refused({{"RANK", "1x"}, {"WORLD_SIZE", "4"}}), "RANK: \"1x\" is not a whole number");
  EXPECT_EQ(refused({{"RANK", ""}, {"WORLD_SIZE", "4"}}), "RANK: \"\" is not a whole number");
  EXPECT_EQ(refused({{"RANK", "0"}, {"WORLD_SIZE", "0"}}), "WORLD_SIZE: must be at least 1, is 0");
  EXPECT_EQ(refused({{"MASTER_ADDR", "here"}}), "MASTER_PORT: is not set");
  EXPECT_EQ(refused({{"MASTER_PORT", "29500"}}), "MASTER_ADDR: is not set");
  EXPECT_EQ(refused({{"MASTER_ADDR", ""}, {"MASTER_PORT", "1"}}), "MASTER_ADDR: is empty");
  EXPECT_EQ(refused({{"MASTER_ADDR", "here"}, {"MASTER_PORT", "70000"}}),
            "MASTER_PORT: must be at most 65535, is 70000");
}

TEST(environment, two_launchers_must_agree) {
  auto const refused = [](std::initializer_list<std::pair<char const*, char const*>> set) {
    variables const here(set);
    return refusal();
  };
  using set = std::initializer_list<std::pair<char const*, char const*>>;
  EXPECT_EQ(refused(set{{"RANK", "1"},
                        {"WORLD_SIZE", "4"},
                        {"OMPI_COMM_WORLD_RANK", "2"},
                        {"OMPI_COMM_WORLD_SIZE", "4"}}),
            "OMPI_COMM_WORLD_RANK: is 2, and RANK is 1");
  EXPECT_EQ(refused(set{
                {"RANK", "1"}, {"WORLD_SIZE", "4"}, {"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "8"}}),
            "SLURM_NTASKS: is 8, and WORLD_SIZE is 4");
  EXPECT_EQ(refused(set{{"OMPI_COMM_WORLD_RANK", "1"},
                        {"OMPI_COMM_WORLD_SIZE", "4"},
                        {"PMI_RANK", "1"},
                        {"PMI_SIZE", "2"}}),
            "PMI_SIZE: is 2, and OMPI_COMM_WORLD_SIZE is 4");
  EXPECT_EQ(refused(set{{"RANK", "1"},
                        {"WORLD_SIZE", "4"},
                        {"OMPI_COMM_WORLD_RANK", "1"},
                        {"OMPI_COMM_WORLD_SIZE", "4"}}),
            "");
}

// torchrun once on every node of Slurm, and mpirun inside of a job of Slurm.
TEST(environment, a_launcher_may_start_another) {
  {
    variables const here{{"RANK", "5"},         {"WORLD_SIZE", "8"},
                         {"LOCAL_RANK", "1"},   {"SLURM_PROCID", "1"},
                         {"SLURM_NTASKS", "2"}, {"TORCHELASTIC_RUN_ID", "x"}};
    EXPECT_EQ(launched_process_of_environment()->rank, 5);
  }
  variables const here{{"OMPI_COMM_WORLD_RANK", "3"},
                       {"OMPI_COMM_WORLD_SIZE", "4"},
                       {"SLURM_PROCID", "0"},
                       {"SLURM_NTASKS", "4"},
                       {"SLURM_LOCALID", "0"}};
  EXPECT_EQ(launched_process_of_environment()->rank, 3);
  EXPECT_FALSE(launched_process_of_environment()->local_rank);
  ::setenv("RANK", "3", 1);  // from a script that says it again for others
  ::setenv("WORLD_SIZE", "4", 1);
  EXPECT_EQ(launched_process_of_environment()->rank, 3);
}

TEST(environment, the_master_has_a_port_beside_torchruns_own) {
  variables const here{{"MASTER_ADDR", "node1"}, {"MASTER_PORT", "29500"}};
  EXPECT_EQ(master_of_environment(), (master_address{"node1", 29500}));
  ::setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
  EXPECT_EQ(master_of_environment(), (master_address{"node1", 29501}));
  ::setenv("TORCHELASTIC_USE_AGENT_STORE", "False", 1);
  EXPECT_EQ(master_of_environment(), (master_address{"node1", 29500}));
}

}  // namespace
}  // namespace shunt::tests::environment_test
