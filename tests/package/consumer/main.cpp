#include <shunt/shunt.hpp>

int main() {
  auto const job = shunt::pipeline_job{};
  return job == shunt::pipeline_job{} ? 0 : 1;
}
