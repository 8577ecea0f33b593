#pragma once
/// Training on one device, which all workers share: through failures and without, compared to the
/// bit, and with the host.
#include <algorithm>
#include <ostream>
#include <span>

#include "comparison.hpp"
#include "language_training.hpp"
#include "options.hpp"
#include "pictures.hpp"
#include "runs.hpp"
#include "shunt/launch/output_file.hpp"
#include "shunt/shunt.hpp"
#include "shunt/train.hpp"
#include "stream_model.hpp"
#include "text.hpp"

namespace example {

/// The exit status.
template <shunt::matrix_device Device>
int train_on_device(options const& o, Device& device, std::ostream& out) {
  using work = stream_language_work<Device>;
  auto const bytes = load_text(o.text);
  auto const files = shunt::optional_folder("out", o.out);

  using system = typename Device::system;
  work alone(o.training, bytes,
             device);  // on streams, also for graphs: what a capture must not load is loaded then
  auto const undisturbed =
      train_undisturbed(alone, shunt::stream_executor<system>{.system = &device.streams()});

  auto const train = [&](auto executor) {
    work disturbed(o.training, bytes, device);
    shunt::pipeline_run run(disturbed, shunt::slipstream{.split = o.split, .stagger = o.stagger});
    executor.system = &device.streams();
    executor.failures = failures_of(o, run);
    executor.timed = true;
    auto const record = run_in_process(run, o, executor, out);
    if (files) write_files(*files, o, run, record, undisturbed.losses);
    return conclude(out, result_of(run, record.report, o), o.training, [&] { return undisturbed; });
  };
  int const status = o.engine == "cuda-graphs" ? train(shunt::graph_executor<system>{})
                                               : train(shunt::stream_executor<system>{});

  auto const host = train_undisturbed(o.training, bytes);
  auto const compared = std::min(work::compared, host.losses.size());
  double const difference =
      shunt::largest_difference(std::span(undisturbed.losses).first(compared), host.losses)
          .relative;
  bool const near = difference <= work::tolerance;
  out << format(
      "%s the host's losses: at most %.2g of a loss away in the first %zu iterations, %g allowed\n",
      near ? "near" : "too far from", difference, compared, work::tolerance);
  return near ? status : 1;
}

}  // namespace example
