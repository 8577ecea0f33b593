// Kernels that move or change an expert's numbers give the bits that the same code gives on the
// host.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "shunt/cuda/launch.cuh"
#include "shunt/device/adam_step.hpp"
#include "shunt/device/slot_gradients.hpp"
#include "shunt/device/weight_packing.hpp"
#include "support/device_array.hpp"

namespace {

using shunt::tests::device_array;

class WeightKernels : public shunt::tests::on_gpu {};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::vector<float> floats(std::mt19937_64& random, std::int64_t n) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < n; ++i)
    values.push_back(static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-53 * 2 - 1));
  return values;
}
std::vector<std::int64_t> integers(std::mt19937_64& random, std::int64_t n) {
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < n; ++i)
    values.push_back(static_cast<std::int64_t>(random() >> 20) - (std::int64_t{1} << 43));
  return values;
}

/// Two updates as a graph launched twice, then one of them taken back, by the device and by the
/// host.
TEST_F(WeightKernels, AdamGivesTheHostsBits) {
  std::mt19937_64 random(71);
  for (std::int64_t const elements : {1, 1022, 1024, 1000003}) {
    std::vector<float> w = floats(random, elements), m(at(elements), 0), v(at(elements), 0), kw = m,
                       km = m, kv = m, sent = m;
    device_array<float> const dw(w), dm(m), dv(v), dkw(m), dkm(m), dkv(m), dsent(m),
        scale(std::vector<float>{0.7F});
    device_array<std::int64_t> gradient(integers(random, elements)),
        word(std::vector<std::int64_t>{1});
    device_array<shunt::adam_clock> const clock(std::vector<shunt::adam_clock>(1));
    shunt::adam_rule const rule{};
    auto host_gradient = gradient.values();
    shunt::adam_clock host_clock;
    float const host_scale = 0.7F;
    shunt::adam_step<std::int64_t> const device{.rule = rule,
                                                .elements = elements,
                                                .state = {dw.data(), dm.data(), dv.data()},
                                                .gradient = gradient.data(),
                                                .unit = 0x1p40 * 3,
                                                .clock = clock.data(),
                                                .scale = scale.data(),
                                                .kept = {dkw.data(), dkm.data(), dkv.data()},
                                                .sent = dsent.data(),
                                                .condition = word.data()};
    auto host = device;
    host.state = {w.data(), m.data(), v.data()};
    host.kept = {kw.data(), km.data(), kv.data()};
    host.gradient = host_gradient.data();
    host.clock = &host_clock;
    host.scale = &host_scale;
    host.sent = sent.data();
    host.condition = nullptr;

    launch_captured(
        [&] {
          shunt::run_items(
              shunt::adam_tick{.rule = rule, .clock = clock.data(), .condition = word.data()}, 1,
              stream());
          shunt::run_items(device, device.items(), stream());
        },
        [&](int launch) {
          if (launch == 1) gradient.set(host_gradient = integers(random, elements));
          shunt::adam_tick{.rule = rule, .clock = &host_clock}(0);
          for (std::int64_t i = 0; i < host.items(); ++i) host(i);
        });
    ASSERT_EQ(clock.values()[0].update, 2);
    ASSERT_EQ(clock.values()[0].correct1, host_clock.correct1);
    ASSERT_EQ(clock.values()[0].correct2, host_clock.correct2);
    ASSERT_EQ(dw.values(), w);
    ASSERT_EQ(dm.values(), m);
    ASSERT_EQ(dv.values(), v);
    ASSERT_EQ(dsent.values(), w);
    ASSERT_EQ(dkw.values(), kw);

    shunt::adam_rollback const back{.elements = elements,
                                    .kept = device.kept,
                                    .state = device.state,
                                    .sent = device.sent,
                                    .condition = word.data()};
    shunt::run_items(back, back.items(), stream());
    shunt::run_items(
        shunt::adam_tick{.rule = rule, .clock = clock.data(), .by = -1, .condition = word.data()},
        1, stream());
    wait();
    ASSERT_EQ(dw.values(), kw);
    ASSERT_EQ(dm.values(), km);
    ASSERT_EQ(dv.values(), kv);
    ASSERT_EQ(dsent.values(), kw);
    ASSERT_EQ(clock.values()[0].update, 1);

    word.set({0});  // and now nothing happens
    shunt::run_items(device, device.items(), stream());
    wait();
    ASSERT_EQ(dw.values(), kw);
  }
}

template <class T>
void sums_are_the_hosts(shunt::cuda_stream_ref stream, std::vector<T> gradients,
                        std::int64_t elements, std::vector<std::int32_t> const& expert_of) {
  auto const slots = static_cast<std::int32_t>(expert_of.size());
  device_array<T> const device(gradients);
  device_array<std::int32_t> const experts(expert_of);
  shunt::run_rows(shunt::sum_slot_gradients<T>{device.data(), elements, experts.data(), slots}, 1,
                  (elements * static_cast<std::int64_t>(sizeof(T)) + 15) / 16, stream);
  stream.synchronize();
  for (std::int32_t s = 0; s < slots; ++s)
    if (std::find(expert_of.begin(), expert_of.begin() + s, expert_of[at(s)]) ==
        expert_of.begin() + s)
      for (std::int32_t k = s + 1; k < slots; ++k)
        for (std::int64_t i = 0; expert_of[at(k)] == expert_of[at(s)] && i < elements; ++i)
          gradients[at(s * elements + i)] += gradients[at(k * elements + i)];
  ASSERT_EQ(device.values(), gradients);
}

TEST_F(WeightKernels, InstancesAreAddedIntoTheFirst) {
  std::mt19937_64 random(72);
  for (std::int64_t const elements : {1, 37, 4096, 100000}) {
    sums_are_the_hosts(stream(), integers(random, 6 * elements), elements, {4, 2, 4, 4, 7, 2});
    sums_are_the_hosts(stream(), floats(random, 6 * elements), elements, {4, 2, 4, 4, 7, 2});
    sums_are_the_hosts(stream(), floats(random, 10 * elements), elements,
                       std::vector<std::int32_t>(10, 3));
  }
}

/// Three owners with unequal parts; rank 1's slots are filled from what all of them packed.
TEST_F(WeightKernels, PackedWeightsFillTheSlots) {
  std::mt19937_64 random(73);
  std::int32_t const ranks = 3, experts = 4;
  std::vector<std::int32_t> const first_slot{0, 2, 6, 7}, expert_of{3, 0, 1, 1, 2, 1, 2},
      rank_of_slot{0, 0, 1, 1, 1, 1, 2};
  for (std::int64_t const expert_bytes : {30, 48, 4800, 1200004}) {
    std::vector<std::int64_t> begin, bytes, offset;
    std::int64_t row_bytes = 0;
    for (std::int64_t r = 0; r < ranks; ++r)
      for (std::int64_t e = 0; e < experts; ++e) {
        begin.push_back(expert_bytes * r / ranks);
        bytes.push_back(expert_bytes * (r + 1) / ranks - begin.back());
        offset.push_back(e * bytes.back());
        row_bytes = std::max(row_bytes, (bytes.back() + 15) / 16 * 16);
      }
    std::int64_t const part_rows = 4, part_bytes = part_rows * row_bytes;
    std::vector<unsigned char> weights(at(experts * expert_bytes));
    for (auto& w : weights) w = static_cast<unsigned char>(random());

    device_array<std::int32_t> const d_first(first_slot), d_expert(expert_of), d_rank(rank_of_slot),
        row_of(expert_of.size());
    device_array<std::int64_t> const d_begin(begin), d_bytes(bytes), d_offset(offset), rows(ranks);
    device_array<unsigned char> const arrived(at(ranks * part_bytes)), slots(at(4 * expert_bytes));
    shunt::run_items(
        shunt::scatter_rows{ranks, 7, d_first.data(), d_expert.data(), row_of.data(), rows.data()},
        ranks, stream());
    for (std::int64_t r = 0; r < ranks; ++r) {
      std::vector<unsigned char> own;
      for (std::int64_t e = 0; e < experts; ++e) {
        auto const from = weights.begin() + e * expert_bytes + begin[at(r * experts + e)];
        own.insert(own.end(), from, from + bytes[at(r * experts + e)]);
      }
      device_array<unsigned char> const shards(own), parts(at(ranks * part_bytes));
      shunt::run_rows(shunt::pack_weights{shards.data(), d_offset.data() + r * experts,
                                          d_bytes.data() + r * experts, d_expert.data(),
                                          row_of.data(), d_rank.data(), part_rows, row_bytes,
                                          parts.data()},
                      7, row_bytes / 16, stream());
      shunt::cuda_check(cudaMemcpyAsync(arrived.data() + r * part_bytes, parts.data() + part_bytes,
                                        at(part_bytes), cudaMemcpyDeviceToDevice, stream()),
                        "cudaMemcpyAsync");
      wait();
    }
    shunt::run_rows(shunt::unpack_weights{arrived.data(), d_begin.data(), d_bytes.data(),
                                          d_expert.data() + 2, row_of.data() + 2, ranks, experts,
                                          part_rows, row_bytes, expert_bytes, slots.data()},
                    4 * ranks, row_bytes / 16, stream());
    wait();
    EXPECT_EQ(rows.values(), (std::vector<std::int64_t>{2, 2, 1}));
    auto const filled = slots.values();
    for (std::int64_t s = 0; s < 4; ++s)
      ASSERT_TRUE(std::equal(filled.begin() + s * expert_bytes,
                             filled.begin() + (s + 1) * expert_bytes,
                             weights.begin() + expert_of[at(2 + s)] * expert_bytes))
          << "slot " << s << " of " << expert_bytes << " bytes";
  }
}

}  // namespace
