#pragma once
/// NCCL as a stream transport: one rank's end of a communicator of all ranks and of others split
/// from it.
///
/// Messages are enqueued within a group, and closing the group submits it; a send and a receive
/// that belong together thus never wait for each other. `close` returns when NCCL has put the group
/// on its streams. The routes of the program given to `prepare` (routes.hpp) select communicators.
/// Without `prepare`, messages use the communicator of all ranks, and collectives are not possible.
/// Throws nccl_error (also after `patience`), and what `watch` throws. After an error only abort,
/// shrink, rebuild and the destructor may be called.
/// Requires that streams outlive the communicators used on them.
/// See docs/device-code.md.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "shunt/core/id.hpp"
#include "shunt/execute/stream_transport.hpp"
#include "shunt/nccl/communicator.hpp"
#include "shunt/nccl/config.hpp"
#include "shunt/nccl/detail/communicator_set.hpp"
#include "shunt/nccl/detail/connected_edges.hpp"
#include "shunt/nccl/library.hpp"
#include "shunt/nccl/message_routes.hpp"
#include "shunt/nccl/routes.hpp"
#include "shunt/program/program.hpp"

namespace shunt {

template <nccl_library Api>
class nccl_transport {
  using communicator = nccl_communicator<Api>;

 public:
  using stream = typename Api::stream;

  /// Operations that are submitted together, at most nccl_group_limit. The destructor closes the
  /// group; an error then is thrown when the next group is opened.
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

    /// Submits the group and ends it.
    /// Throws nccl_error where NCCL refuses, and std::logic_error where the group is closed
    /// already.
    void close() {
      if (!std::exchange(open_, false)) throw std::logic_error("a group is closed twice");
      net_.group_open_ = false;
      net_.set_.all().require_success(Api::group_end(), "can't submit a group");
      for (communicator const* c : used_) c->settle(net_.config_, "to submit a group");
    }

   private:
    friend class nccl_transport;
    explicit group(nccl_transport& net) : net_(net) {
      if (net_.late_) std::rethrow_exception(std::exchange(net_.late_, nullptr));
      if (net_.group_open_) throw std::logic_error("a group is open already");
      net_.set_.all().require_success(Api::group_start(), "can't open a group");
      open_ = net_.group_open_ = true;
    }
    void add(communicator const& c, nccl_status s, std::string const& what) {
      c.require_success(s, what);
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

  /// Joins the communicator of all ranks, on the device that is set. All members pass the same
  /// identity, from one call of Api::new_identity.
  /// Throws nccl_error.
  nccl_transport(typename Api::identity const& id, std::vector<rank_id> members, rank_id self,
                 nccl_config config)
      : config_(std::move(config)), self_(self), set_(id, std::move(members), self, config_) {}
  nccl_transport(nccl_transport const&) = delete;
  nccl_transport& operator=(nccl_transport const&) = delete;
  /// Aborts unless `close` was called. The other members are not told.
  ~nccl_transport() { abort(), release_scratch(); }

  [[nodiscard]] rank_id rank() const { return self_; }
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(members().size()); }
  [[nodiscard]] std::vector<rank_id> const& members() const { return set_.all().members(); }
  /// Returns the routes of the program prepared last.
  [[nodiscard]] message_routes const& routes() const { return routes_; }
  [[nodiscard]] std::size_t communicators() const { return set_.size(); }

  /// Makes the communicators that a program needs, and connects its pairs. Collective: all members
  /// prepare the same programs in the same order.
  /// Throws invalid_program where messages would be received in another order than sent, or where a
  /// rank needs too many communicators; and nccl_error.
  /// Requires that nothing is in progress, unless must_prepare(p) is false.
  void prepare(program const& p, stream s) {
    auto routes = find_routes(p);
    require_message_order(p, routes);
    set_.provide(communicators_of(p, routes));
    routes_ = std::move(routes);
    warm_up_connections(p, s);
  }
  /// Returns whether `prepare` has anything to make.
  [[nodiscard]] bool must_prepare(program const& p) const {
    auto const routes = find_routes(p);
    auto const needed = communicators_of(p, routes);
    return routes != routes_ ||
           !std::all_of(needed.begin(), needed.end(),
                        [&](auto const& key) { return set_.knows(key); }) ||
           !edges_.missing(p, routes, self_).empty();
  }

  /// Throws std::logic_error where a group is open, and the error of one that was not closed.
  [[nodiscard]] group open_group() { return group(*this); }

  // Enqueue a message or collective in a group; collectives are called by all members in one order.
  // Throw nccl_error; invalid_program where bytes are no whole number of elements.

  void send(group& g, std::span<std::byte const> out, rank_id to, stream s,
            std::int32_t channel = 0) {
    auto const& c = set_.find(routes_.key(self_, to, channel));
    send_in(g, c, out, to, s);
  }
  void receive(group& g, std::span<std::byte> in, rank_id from, stream s,
               std::int32_t channel = 0) {
    auto const& c = set_.find(routes_.key(from, self_, channel));
    receive_in(g, c, in, from, s);
  }

  void all_reduce(group& g, std::span<rank_id const> members, element type, reduction how,
                  std::span<std::byte> own, stream s) {
    if (own.empty()) return;
    auto const& c = group_communicator(members);
    g.room_for_one();
    g.add(c,
          Api::all_reduce(own.data(), own.data(), nccl_count(own.size(), type), type, how, c.get(),
                          s),
          "all_reduce over " + detail::names_of(members));
  }
  void reduce_scatter(group& g, std::span<rank_id const> members, element type, reduction how,
                      std::span<std::byte const> whole, std::span<std::byte> part, stream s) {
    if (part.empty()) return;
    auto const& c = group_communicator(members);
    g.room_for_one();
    g.add(c,
          Api::reduce_scatter(whole.data(), part.data(), nccl_count(part.size(), type), type, how,
                              c.get(), s),
          "reduce_scatter over " + detail::names_of(members));
  }
  void all_gather(group& g, std::span<rank_id const> members, std::span<std::byte const> part,
                  std::span<std::byte> whole, stream s) {
    if (part.empty()) return;
    auto const& c = group_communicator(members);
    g.room_for_one();
    g.add(c, Api::all_gather(part.data(), whole.data(), part.size(), element::bytes, c.get(), s),
          "all_gather over " + detail::names_of(members));
  }

  /// Every member sends out(j) to member j and receives in(j) from it, spans of bytes; not to
  /// itself. Collective. Opens groups of its own, several where one would hold too many operations.
  template <class Out, class In>
  void all_to_all(std::span<rank_id const> members, Out const& out, In const& in, stream s) {
    auto const& c = group_communicator(members);
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

  /// Checks for asynchronous errors, such as a lost peer. Never waits.
  /// Throws nccl_error, and what `watch` throws.
  void poll() const {
    if (config_.watch) config_.watch();
    set_.check("while it ran");
  }

  /// Continues without these ranks, by ncclCommShrink; operations in progress end. Collective over
  /// the surviving members, with the same list.
  void shrink(std::span<rank_id const> dead)
    requires(Api::has_shrink)
  {
    forget();
    set_.shrink(dead);
  }
  /// Continues with these ranks only, by a new communicator; operations in progress end.
  void rebuild(typename Api::identity const& id, std::vector<rank_id> members) {
    abort();
    set_.rebuild(id, std::move(members));
  }

  /// Finalizes all communicators, the one made last first. Collective.
  /// Requires that nothing is in progress.
  void close() {
    set_.close();
    release_scratch();
  }
  /// Ends all communicators at once, without the other members. NCCL may still end operations of
  /// theirs when this returns.
  void abort() noexcept {
    forget();
    set_.abort();
  }

 private:
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

  [[nodiscard]] communicator const& group_communicator(std::span<rank_id const> members) const {
    return set_.find({communicator_key::use::collectives, {members.begin(), members.end()}});
  }
  /// Connects edges by a message of one byte each: one communicator after the other, in the order
  /// of their keys, which is the same on all ranks.
  void warm_up_connections(program const& p, stream s) {
    using edge = detail::connected_edges::edge;
    auto const fresh = edges_.missing(p, routes_, self_);
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
            send_in(g, set_.find(key), {scratch_, 1}, to, s);
          else
            receive_in(g, set_.find(key), {scratch_ + 1, 1}, from, s);
        }
        g.close();
      }
      at = end;
    }
    edges_.insert(fresh);
  }

  void forget() noexcept {
    edges_.clear();
    routes_ = {};
  }
  void release_scratch() noexcept {
    if (scratch_ != nullptr) Api::deallocate(std::exchange(scratch_, nullptr));
  }

  nccl_config const config_;
  rank_id const self_;
  detail::communicator_set<Api> set_;
  message_routes routes_{};
  detail::connected_edges edges_{};
  std::byte* scratch_ = nullptr;  // [0] is sent to connect, [1] received
  std::exception_ptr late_{};
  bool group_open_ = false;
};

}  // namespace shunt
