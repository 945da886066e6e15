// ScopeGuard: runs an action when the scope ends, unless released. The undo half of a create step.
#pragma once

#include <utility>

namespace wherry {

template <typename F>
class [[nodiscard]] ScopeGuard {
 public:
  explicit ScopeGuard(F action) : action_(std::move(action)) {}
  ScopeGuard(ScopeGuard&& other) noexcept
      : action_(std::move(other.action_)), armed_(std::exchange(other.armed_, false)) {}
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ScopeGuard& operator=(ScopeGuard&&) = delete;
  ~ScopeGuard() {
    if (armed_) action_();
  }
  // The action will not run: the step it would undo is kept.
  void release() { armed_ = false; }

 private:
  F action_;
  bool armed_ = true;
};

template <typename F>
ScopeGuard<F> on_exit(F action) {
  return ScopeGuard<F>(std::move(action));
}

}  // namespace wherry
