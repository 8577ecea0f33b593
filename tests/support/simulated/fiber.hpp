#pragma once
/// Fibers: threads of virtual processes, which run on one thread and switch only where they say so.
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cxxabi.h>
#include <functional>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define SHUNT_FIBERS_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHUNT_FIBERS_UNDER_ASAN 1
#endif
#endif
#ifdef SHUNT_FIBERS_UNDER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace shunt::tests::simulated {

/// Stacks that are used again. Below each lies a page that must not be touched.
class stacks {
 public:
  static constexpr std::size_t size = 512 * 1024, guard = 4096;

  [[nodiscard]] static std::byte* take() {
    auto& unused = all();
    if (!unused.empty()) {
      auto* const last = unused.back();
      unused.pop_back();
      return last;
    }
    void* const at = mmap(nullptr, guard + size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    mprotect(at, guard, PROT_NONE);
    return static_cast<std::byte*>(at) + guard;
  }
  static void give_back(std::byte* stack) {
#ifdef SHUNT_FIBERS_UNDER_ASAN
    __asan_unpoison_memory_region(stack, size);
#endif
    all().push_back(stack);
  }

 private:
  static std::vector<std::byte*>& all() {
    static std::vector<std::byte*> unused;
    return unused;
  }
};

/// What can be switched to: a fiber, or the thread itself.
class context {
 public:
  context() = default;
  context(context const&) = delete;
  context& operator=(context const&) = delete;

  /// Goes on with another context until one switches back to this one. Where it `ends`, none does.
  void switch_to(context& other, bool ends = false) {
    auto* const globals = abi::__cxa_get_globals();  // exceptions in flight are the thread's
    std::memcpy(exceptions_, globals, sizeof exceptions_);
    std::memcpy(globals, other.exceptions_, sizeof exceptions_);
    // A fiber that has ended is not switched back to; its stack may be used again.
#ifdef SHUNT_FIBERS_UNDER_ASAN
    __sanitizer_start_switch_fiber(ends ? nullptr : &fake_stack_, other.bottom_, other.size_);
#endif
    (void)ends;
    swapcontext(&machine_, &other.machine_);
#ifdef SHUNT_FIBERS_UNDER_ASAN
    arrived();
#endif
  }

 protected:
  void arrived() {
#ifdef SHUNT_FIBERS_UNDER_ASAN
    void const* bottom = nullptr;
    std::size_t size = 0;
    __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &size);
    came_from_bottom() = bottom;
    came_from_size() = size;
#endif
  }
  static void const*& came_from_bottom() {
    static void const* bottom = nullptr;
    return bottom;
  }
  static std::size_t& came_from_size() {
    static std::size_t size = 0;
    return size;
  }

  ucontext_t machine_{};
  std::byte exceptions_[16]{};  // as the Itanium ABI lays them out
  void* fake_stack_ = nullptr;
  void const* bottom_ = nullptr;
  std::size_t size_ = 0;

  friend class fiber;
};

/// A context with a stack of its own.
class fiber : public context {
 public:
  /// `body` runs when it is first switched to, and must not return.
  explicit fiber(std::function<void()> body) : body_(std::move(body)), stack_(stacks::take()) {
    getcontext(&machine_);
    machine_.uc_stack.ss_sp = stack_;
    machine_.uc_stack.ss_size = stacks::size;
    machine_.uc_link = nullptr;
    bottom_ = stack_;
    size_ = stacks::size;
    auto const self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&machine_, reinterpret_cast<void (*)()>(&fiber::enter), 2,
                static_cast<unsigned>(self), static_cast<unsigned>(self >> 32U));
  }
  /// What stands on the stack is not destroyed.
  ~fiber() { stacks::give_back(stack_); }

  /// The thread's own context must know its stack before a fiber switches to it.
  static void know_stack_of(context& thread) {
    thread.bottom_ = came_from_bottom();
    thread.size_ = came_from_size();
  }
  std::function<void(fiber&)> on_entry{};

 private:
  static void enter(unsigned low, unsigned high) {
    auto* const self =
        reinterpret_cast<fiber*>(static_cast<std::uintptr_t>(low) |
                                 static_cast<std::uintptr_t>(std::uintptr_t{high} << 32U));
    self->arrived();
    if (self->on_entry) self->on_entry(*self);
    self->body_();
  }

  std::function<void()> body_;
  std::byte* const stack_;
};

}  // namespace shunt::tests::simulated
