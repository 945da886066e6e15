// HelperProcess: one wherry-unpack at work, seen from outside: its process and its report's pipe.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"
#include "sys/process.h"

namespace wherry::archive {

class HelperProcess {
 public:
  // `fds`: {ours, theirs}; ours that are -1 are left out. The report's pipe is added.
  static Result<HelperProcess> start(std::vector<std::string> arguments,
                                     const std::vector<std::pair<int, int>>& fds);
  HelperProcess(HelperProcess&&) noexcept = default;
  HelperProcess& operator=(HelperProcess&& other) noexcept;
  // Kills and reaps one that was not waited for.
  ~HelperProcess();

  int report_fd() const { return report_.get(); }
  // The report, once it has ended. One that died without is kInternal and says how.
  Result<std::string> wait();

 private:
  HelperProcess(sys::Child child, sys::Fd report)
      : child_(std::move(child)), report_(std::move(report)) {}
  void kill();

  sys::Child child_;
  sys::Fd report_;  // open as long as nobody has waited
};

}  // namespace wherry::archive
