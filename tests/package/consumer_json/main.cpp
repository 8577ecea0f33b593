#include <shunt/json.hpp>

int main() {
  auto const job = shunt::pipeline_job{.pipelines = 3, .stages = 4, .microbatches = 6};
  nlohmann::json const document = job;
  return document.get<shunt::pipeline_job>() == job ? 0 : 1;
}
