// Task<T>: a coroutine that somebody awaits, or that the loop's owner starts and looks at.
//
// A task does nothing before it is awaited or started, belongs to whoever holds it, and destroying
// it destroys everything that it awaits: that is how a transfer is cancelled. All of it in one
// thread. CO_TRY and its kin are base/result.h's macros for bodies that co_return.
//
// g++ 12 destroys some temporaries inside a co_await expression twice: pass named objects to what
// is awaited, never aggregates made on the spot.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/result.h"

namespace wherry::wire {

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> awaiter;

    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> finished) noexcept {
        if (finished.promise().awaiter) return finished.promise().awaiter;
        return std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(T result) { value.emplace(std::move(result)); }
    // Only memory runs out here; nothing below can be told about it.
    void unhandled_exception() { std::terminate(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs to the first wait. Once, and not for a task that is awaited.
  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  T take() { return std::move(*handle_.promise().value); }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().awaiter = awaiter;
    return handle_;
  }
  T await_resume() { return take(); }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace wherry::wire

#define WHERRY_CO_TRY_(tmp, declaration, expression)           \
  auto tmp = (expression);                                     \
  if (!tmp) co_return ::wherry::Error(std::move(tmp.error())); \
  declaration = std::move(*tmp)
#define CO_TRY(declaration, expression) \
  WHERRY_CO_TRY_(WHERRY_CONCAT(try_result_, __LINE__), declaration, expression)
#define CO_TRY_VOID(expression)                                                          \
  do {                                                                                   \
    auto try_void_result = (expression);                                                 \
    if (!try_void_result) co_return ::wherry::Error(std::move(try_void_result.error())); \
  } while (false)
