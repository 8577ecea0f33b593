/// Puts what the demo's programs wrote into one page: demo_report DIR writes DIR/report.html from
/// DIR/train, DIR/schedules, DIR/experts and what reproduce_papers drew. Exit status: 0; 2 where a
/// file is missing or no such file.
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli.hpp"
#include "shunt/core/error.hpp"
#include "shunt/io/html_page.hpp"
#include "shunt/io/text_table.hpp"
#include "shunt/launch/output_file.hpp"

namespace {

using namespace example;
using shunt::fixed;

namespace fs = std::filesystem;
using nlohmann::json;
using row = std::vector<std::string>;

std::string content_of(fs::path const& path) {
  std::ifstream in(path, std::ios::binary);
  refuse_if(!in, path.string(), "cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

json json_of(fs::path const& path) {
  try {
    return json::parse(content_of(path));
  } catch (json::exception const& e) {
    throw shunt::invalid_problem(path.string(), e.what());
  }
}

std::string milliseconds(json const& nanoseconds) {
  return fixed(nanoseconds.get<double>() / 1e6, 2) + " ms";
}

/// The pictures of a folder whose names begin like this, in order of their names.
std::vector<fs::path> pictures(fs::path const& folder, std::string const& prefix) {
  std::vector<fs::path> found;
  for (auto const& entry : fs::directory_iterator(folder))
    if (auto const name = entry.path().filename().string();
        name.rfind(prefix, 0) == 0 && entry.path().extension() == ".svg")
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

void show_training(shunt::html_page& page, fs::path const& dir) {
  auto const train = json_of(dir / "train.json");
  auto const& iterations = train.at("iterations");
  page.section("Training goes on through lost workers (SlipStream)")
      .prose("A byte-level language model on " + std::to_string(train.at("pipelines").get<int>()) +
             " pipelines of " + std::to_string(train.at("stages").get<int>()) +
             " stages, one thread a worker, " + train.at("microbatches").dump() +
             " micro-batches a pipeline and iteration. Workers fall silent in the middle of an "
             "iteration; the others notice, agree, plan anew, and do that iteration again.")
      .prose(train.at("identical").get<bool>()
                 ? "The losses of all " + std::to_string(iterations.size()) +
                       " iterations are the same, to the last bit, as in a run that lost nobody."
                 : "The losses differ from those of a run that lost nobody.")
      .figure(content_of(dir / "loss.svg"), "Loss with and without failures");
  std::vector<row> rows;
  for (auto const& l : train.at("losses"))
    rows.push_back({l.at("workers").get<std::string>(),
                    std::to_string(l.at("iteration").get<int>()), milliseconds(l.at("detect_ns")),
                    milliseconds(l.at("agree_ns")), milliseconds(l.at("restore_ns")),
                    milliseconds(l.at("replan_ns")), milliseconds(l.at("redo_ns")),
                    std::to_string(l.at("steps_undone").get<int>())});
  page.table(
      {"lost worker", "iteration", "detect", "agree", "restore", "re-plan", "redo", "steps undone"},
      rows);
  for (auto const& planned : pictures(dir, "planned_")) {
    auto const name = planned.filename().string();
    page.figure(content_of(planned), "As planned");
    auto const measured = dir / ("measured_" + name.substr(8));
    page.figure(content_of(measured), "As measured");
    auto const lost = dir / ("measured_" + name.substr(8, name.size() - 12) + "_lost.svg");
    if (fs::exists(lost))
      page.figure(content_of(lost), "The iteration in which a worker fell silent");
  }
}

void show_schedules(shunt::html_page& page, fs::path const& dir) {
  auto const variants = json_of(dir / "variants.json").at("variants");
  page.section("What each part of SlipStream buys")
      .prose("Every operation waits for its number of ticks, so that the schedules show their real "
             "shape on few cores. Predicted is the plan's period, measured the median of steady "
             "iterations. In all rows but the first the killed workers are dead from the start.");
  std::vector<row> rows;
  for (auto const& v : variants)
    rows.push_back({v.at("name").get<std::string>(), std::to_string(v.at("period").get<int>()),
                    fixed(v.at("predicted_ms"), 1) + " ms", fixed(v.at("measured_ms"), 1) + " ms",
                    fixed(v.at("ratio"), 4)});
  page.table({"schedule", "period [ticks]", "predicted", "measured", "ratio"}, rows);
  auto const planned = pictures(dir, "planned_");
  for (std::size_t i = 0; i < planned.size(); ++i)
    page.figure(content_of(planned[i]),
                variants.at(i).at("name").get<std::string>() + ", as planned")
        .figure(content_of(dir / ("measured_" + planned[i].filename().string().substr(8))),
                variants.at(i).at("name").get<std::string>() + ", as measured");
}

void show_experts(shunt::html_page& page, fs::path const& dir, fs::path const& printed) {
  auto const text = content_of(printed);
  auto const summary = text.find("\n\n");
  refuse_if(summary == std::string::npos, printed.string(), "has no summary");
  page.section("Experts follow the tokens (SwiftMoE)")
      .prose("The same kind of model with mixture-of-experts layers. Under swift_moe the next "
             "iteration's placement follows the tokens that the experts just received; under "
             "uniform every expert keeps the same number of slots.")
      .lines(text.substr(summary + 2))
      .figure(content_of(dir / "drops.svg"), "Tokens that found no place in their expert's slots")
      .figure(content_of(dir / "loss.svg"), "Loss under both policies");
  for (auto const& map : pictures(dir, "experts_"))
    page.figure(content_of(map), map.stem().string());
}

void show_papers(shunt::html_page& page, fs::path const& dir) {
  page.section("The papers' comparisons")
      .prose("All systems on one recorded trace of nodes that come and go. Rates of SlipStream, "
             "Oobleck, Bamboo and Varuna come from this library's solvers, what changes cost from "
             "Oobleck's artifact; papers.txt has the tables.")
      .figure(content_of(dir / "throughput.svg"), "Throughput over time")
      .prose("The systems of SwiftMoE's evaluation, trained here. Iterations and drops are "
             "measured, the time of an iteration is a model's.")
      .figure(content_of(dir / "time_to_loss.svg"), "Loss over model time");
}

}  // namespace

int main(int argc, char** argv) {
  return guarded([&] {
    refuse_if(argc != 2, "arguments", "one folder is wanted: demo_report DIR");
    fs::path const dir = argv[1];
    shunt::html_page page("shunt: what the demo found");
    show_training(page, dir / "train");
    show_schedules(page, dir / "schedules");
    show_experts(page, dir / "experts", dir / "experts.txt");
    show_papers(page, dir);
    shunt::output_file("DIR", dir / "report.html").write(shunt::rendered([&](std::ostream& out) {
      out << page;
    }));
    std::cout << "wrote " << (dir / "report.html").string() << "\n";
    return 0;
  });
}
