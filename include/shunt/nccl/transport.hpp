#pragma once
/// NCCL as a stream transport: one rank's end of a communicator of all ranks and of others split
/// from it.
///
/// The group guard comes first, closing it submits: a message can't be enqueued outside a group, so
/// a send and a receive that belong together can't wait for each other by accident. `close` returns
/// when NCCL has put the group on its streams; what is enqueued there later comes after it. Which
/// communicator carries what is found by `routes.hpp` from the program that `prepare` was given;
/// without one, messages run in the communicator of all ranks and there are no groups for
/// collectives.
///
/// The first message between two ranks makes them wait for each other on the host, so `prepare`
/// greets: every pair that the program uses sends itself a byte, all in one order. After that no
/// call waits for a peer but the first collective of a group.
///
/// Throws nccl_error (also where a peer is too late for `patience`), and what `watch` throws. After
/// an error only abort, shrink, rebuild and the destructor may be called. Streams must outlive the
/// communicators used on them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/error.hpp"
#include "shunt/core/id.hpp"
#include "shunt/execute/stream_transport.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/routes.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

template <nccl_library Api>
class nccl_transport {
  using communicator = nccl_communicator<Api>;

 public:
  using stream = typename Api::stream;

  /// What is submitted together. At most nccl_group_limit operations.
  class group {
   public:
    group(group const&) = delete;
    group& operator=(group const&) = delete;
    ~group() {
      if (!open_) return;
      try {
        close();
      } catch (...) {
        net_.late_ = std::current_exception();
      }
    }

    /// Submits. Throws what NCCL refuses; the group is over in any case.
    void close() {
      if (!std::exchange(open_, false)) throw std::logic_error("a group is closed twice");
      net_.group_open_ = false;
      net_.all_.demand(Api::group_end(), "can't submit a group");
      for (communicator const* c : used_) c->settle(net_.config_, "to submit a group");
    }

   private:
    friend class nccl_transport;
    explicit group(nccl_transport& net) : net_(net) {
      if (net_.late_) std::rethrow_exception(std::exchange(net_.late_, nullptr));
      if (net_.group_open_) throw std::logic_error("a group is open already");
      net_.all_.demand(Api::group_start(), "can't open a group");
      open_ = net_.group_open_ = true;
    }
    void add(communicator const& c, nccl_status s, std::string const& what) {
      c.demand(s, what);
      if (std::find(used_.begin(), used_.end(), &c) == used_.end()) used_.push_back(&c);
    }
    void room_for_one() {
      if (++operations_ > nccl_group_limit)
        throw nccl_error("a group of more than " + std::to_string(nccl_group_limit) + " operations",
                         nccl_status::invalid_usage);
    }

    nccl_transport& net_;
    std::vector<communicator const*> used_{};
    std::size_t operations_ = 0;
    bool open_ = false;
  };

  /// Meets the other members, on the device that is set. All of them name the same identity, from
  /// one call of Api::new_identity.
  nccl_transport(typename Api::identity const& id, std::vector<rank_id> members, rank_id self,
                 nccl_config config)
      : config_(std::move(config)),
        self_(self),
        ledger_(config_.communicators),
        all_(id, std::move(members), self, config_) {}
  nccl_transport(nccl_transport const&) = delete;
  nccl_transport& operator=(nccl_transport const&) = delete;
  /// Leaves at once, without a word to the others, unless `close` was called.
  ~nccl_transport() { abort(); }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t size() const {
    return static_cast<std::int32_t>(all_.members().size());
  }
  [[nodiscard]] std::vector<rank_id> const& members() const { return all_.members(); }
  /// How the messages of the program prepared last travel.
  [[nodiscard]] message_routes const& routes() const { return routes_; }
  [[nodiscard]] std::size_t communicators() const {
    return others_.size() + (all_.members().empty() ? 0 : 1);
  }

  /// Makes what a program needs: all members call it with the same programs in the same order.
  /// Whether anything has to be made can be asked before; nothing may be under way then. Throws
  /// invalid_program where messages would overtake each other, and where the bound is too small.
  void prepare(program const& p, stream s) {
    auto routes = find_routes(p);
    demand_order(p, routes);
    auto const change = ledger_.provide(communicators_of(p, routes));
    for (auto const& key : change.dropped)
      if (auto const known = others_.find(key); known != others_.end()) {
        known->second.finalize(config_);
        others_.erase(known);
        std::erase(made_, key);
      }
    for (auto const& split : change.splits) {
      std::vector<std::vector<rank_id>> parts;
      for (auto const& key : split) parts.push_back(key.members);
      auto made = all_.split(parts, config_);
      for (auto const& key : split)
        if (key.contains(self_)) {
          others_.emplace(key, std::move(made));
          made_.push_back(key);
        }
    }
    routes_ = std::move(routes);
    greet(p, s);
  }
  /// False where `prepare` has nothing to do, so that it need not wait until nothing is under way.
  [[nodiscard]] bool must_prepare(program const& p) const {
    auto const routes = find_routes(p);
    auto const needed = communicators_of(p, routes);
    return routes != routes_ ||
           !std::all_of(needed.begin(), needed.end(),
                        [&](auto const& key) { return ledger_.knows(key); }) ||
           !ungreeted(p, routes).empty();
  }

  [[nodiscard]] group open_group() { return group(*this); }

  void send(group& g, std::span<std::byte const> out, rank_id to, stream s,
            std::int32_t channel = 0) {
    auto const& c = carrier(routes_.key(self_, to, channel));
    send_in(g, c, out, to, s);
  }
  void receive(group& g, std::span<std::byte> in, rank_id from, stream s,
               std::int32_t channel = 0) {
    auto const& c = carrier(routes_.key(from, self_, channel));
    receive_in(g, c, in, from, s);
  }

  void all_reduce(group& g, std::span<rank_id const> members, element type, reduction how,
                  std::span<std::byte> own, stream s) {
    if (own.empty()) return;
    auto const& c = meeting_of(members);
    g.room_for_one();
    g.add(c,
          Api::all_reduce(own.data(), own.data(), count(own.size(), type), type, how, c.get(), s),
          "all_reduce over " + detail::names_of(members));
  }
  void reduce_scatter(group& g, std::span<rank_id const> members, element type, reduction how,
                      std::span<std::byte const> whole, std::span<std::byte> part, stream s) {
    if (part.empty()) return;
    auto const& c = meeting_of(members);
    g.room_for_one();
    g.add(c,
          Api::reduce_scatter(whole.data(), part.data(), count(part.size(), type), type, how,
                              c.get(), s),
          "reduce_scatter over " + detail::names_of(members));
  }
  void all_gather(group& g, std::span<rank_id const> members, std::span<std::byte const> part,
                  std::span<std::byte> whole, stream s) {
    if (part.empty()) return;
    auto const& c = meeting_of(members);
    g.room_for_one();
    g.add(c, Api::all_gather(part.data(), whole.data(), part.size(), element::bytes, c.get(), s),
          "all_gather over " + detail::names_of(members));
  }

  /// Every member sends out(j) to member j and receives in(j) from it, spans of bytes; not to
  /// itself. Members call it in one order with their collectives. Takes groups of its own, several
  /// where one would hold too many operations.
  template <class Out, class In>
  void all_to_all(std::span<rank_id const> members, Out const& out, In const& in, stream s) {
    auto const& c = meeting_of(members);
    auto const n = members.size(), self = static_cast<std::size_t>(c.place_of(self_));
    for (std::size_t begin = 1; begin < n; begin += nccl_group_limit / 2) {
      auto g = open_group();
      for (std::size_t d = begin; d < std::min(n, begin + nccl_group_limit / 2); ++d) {
        auto const to = (self + d) % n, from = (self + n - d) % n;
        send_in(g, c, out(to), members[to], s);
        receive_in(g, c, in(from), members[from], s);
      }
      g.close();
    }
  }

  /// Throws what NCCL has noticed meanwhile (a peer that is gone, for example), and what `watch`
  /// throws. Never waits.
  void poll() const {
    if (config_.watch) config_.watch();
    all_.check("while it ran");
    for (auto const& [key, c] : others_) c.check("while it ran");
  }

  /// Goes on without these ranks, by ncclCommShrink: whatever is under way comes to an end. All
  /// that are left call it, with the same list.
  void shrink(std::span<rank_id const> dead)
    requires(Api::has_shrink)
  {
    forget();
    auto rest = all_.shrunk(dead, config_);
    all_ = std::move(rest);
  }
  /// Goes on with these ranks alone, by new communicators; whatever is under way comes to an end.
  void rebuild(typename Api::identity const& id, std::vector<rank_id> members) {
    abort();
    all_ = communicator(id, std::move(members), self_, config_);
  }

  /// Ends all communicators, together with all other members, when nothing is under way any more:
  /// those made last first.
  void close() {
    for (auto at = made_.rbegin(); at != made_.rend(); ++at)
      if (auto const known = others_.find(*at); known != others_.end())
        known->second.finalize(config_);
    others_.clear();
    made_.clear();
    ledger_.clear();
    all_.finalize(config_);
    release_scratch();
  }
  void abort() noexcept {
    forget();
    all_.abort();
    release_scratch();
  }

 private:
  /// A pair of ranks, the sender first, in a communicator; that of all ranks has no members in its
  /// key.
  using edge = std::tuple<communicator_key, rank_id, rank_id>;

  void send_in(group& g, communicator const& c, std::span<std::byte const> out, rank_id to,
               stream s) {
    if (out.empty()) return;
    g.room_for_one();
    g.add(c, Api::send(out.data(), out.size(), element::bytes, c.place_of(to), c.get(), s),
          "send to rank " + std::to_string(to.value()));
  }
  void receive_in(group& g, communicator const& c, std::span<std::byte> in, rank_id from,
                  stream s) {
    if (in.empty()) return;
    g.room_for_one();
    g.add(c, Api::receive(in.data(), in.size(), element::bytes, c.place_of(from), c.get(), s),
          "receive from rank " + std::to_string(from.value()));
  }

  [[nodiscard]] communicator const& carrier(communicator_key const& key) const {
    if (key.members.empty()) return all_;
    auto const known = others_.find(key);
    if (known == others_.end())
      throw nccl_error("no communicator of " + detail::names_of(key.members) +
                           ": the program was not prepared",
                       nccl_status::invalid_usage);
    return known->second;
  }
  [[nodiscard]] communicator const& meeting_of(std::span<rank_id const> members) const {
    return carrier({communicator_key::use::collectives, {members.begin(), members.end()}});
  }
  [[nodiscard]] static std::size_t count(std::size_t bytes, element type) {
    auto const width = static_cast<std::size_t>(size_of(type));
    if (bytes % width != 0)
      throw invalid_program(std::to_string(bytes) + " bytes are no whole number of elements of " +
                            std::to_string(width));
    return bytes / width;
  }

  /// The edges of a program that this rank is an end of and that were not used yet.
  [[nodiscard]] std::set<edge> ungreeted(program const& p, message_routes const& routes) const {
    std::set<edge> fresh;
    for (auto const& i : p.ranks[self_].instructions) {
      if (i.code != opcode::send && i.code != opcode::receive) continue;
      auto const from = i.code == opcode::send ? self_ : i.peer,
                 to = i.code == opcode::send ? i.peer : self_;
      if (edge e{routes.key(from, to, i.channel), from, to}; !greeted_.contains(e))
        fresh.insert(std::move(e));
    }
    return fresh;
  }

  /// One communicator after the other, in the order of their keys, which is the same on all ranks.
  void greet(program const& p, stream s) {
    auto const fresh = ungreeted(p, routes_);
    if (fresh.empty()) return;
    if (scratch_ == nullptr) scratch_ = static_cast<std::byte*>(Api::allocate(2));
    auto const places = static_cast<std::int32_t>(p.ranks.size());
    auto const apart = [&](edge const& e) {
      return (std::get<2>(e).value() - std::get<1>(e).value() + places) % places;
    };
    constexpr auto most = static_cast<std::int32_t>(nccl_group_limit / 2);
    for (auto at = fresh.begin(); at != fresh.end();) {
      auto const& key = std::get<0>(*at);
      auto const end =
          std::find_if(at, fresh.end(), [&](edge const& e) { return std::get<0>(e) != key; });
      for (std::int32_t begin = 0; begin < places; begin += most) {
        auto g = open_group();
        for (auto e = at; e != end; ++e) {
          if (apart(*e) < begin || apart(*e) >= begin + most) continue;
          auto const [ignored, from, to] = *e;
          if (from == self_)
            send_in(g, carrier(key), {scratch_, 1}, to, s);
          else
            receive_in(g, carrier(key), {scratch_ + 1, 1}, from, s);
        }
        g.close();
      }
      at = end;
    }
    greeted_.insert(fresh.begin(), fresh.end());
  }

  void forget() noexcept {
    others_.clear();
    made_.clear();
    ledger_.clear();
    greeted_.clear();
    routes_ = {};
  }
  void release_scratch() noexcept {
    if (scratch_ != nullptr) Api::deallocate(std::exchange(scratch_, nullptr));
  }

  nccl_config const config_;
  rank_id const self_;
  communicator_ledger ledger_;
  communicator all_;
  std::map<communicator_key, communicator> others_{};
  std::vector<communicator_key> made_{};  // in this order
  message_routes routes_{};
  std::set<edge> greeted_{};
  std::byte* scratch_ = nullptr;  // [0] is sent in greetings, [1] received
  std::exception_ptr late_{};
  bool group_open_ = false;
};

}  // namespace shunt
