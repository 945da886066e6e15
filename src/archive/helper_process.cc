#include "archive/helper_process.h"

#include <signal.h>

#include "archive/unpack.h"

namespace wherry::archive {
namespace {

constexpr const char* kProgram = "wherry-unpack";

Error died(int code) {
  std::string how = code > 128 ? "was killed by signal " + std::to_string(code - 128)
                               : "ended with code " + std::to_string(code);
  return Error(ErrorKind::kInternal, std::string(kProgram) + " " + how);
}

}  // namespace

Result<HelperProcess> HelperProcess::start(std::vector<std::string> arguments,
                                           const std::vector<std::pair<int, int>>& fds) {
  sys::SpawnOptions options;
  TRY(options.program, sys::find_helper(kProgram));
  options.arguments = std::move(arguments);
  options.arguments.insert(options.arguments.begin(), kProgram);
  options.environment = sys::inherited_test_environment();
  TRY(sys::Pipe report, sys::make_pipe());
  for (const auto& [ours, theirs] : fds)
    if (ours >= 0) options.fds.emplace_back(ours, theirs);
  options.fds.emplace_back(report.write.get(), kUnpackReportFd);
  TRY(sys::Child child, sys::spawn(std::move(options)));
  return HelperProcess(std::move(child), std::move(report.read));
}

HelperProcess& HelperProcess::operator=(HelperProcess&& other) noexcept {
  if (this == &other) return *this;
  kill();
  child_ = std::move(other.child_);
  report_ = std::move(other.report_);
  return *this;
}

HelperProcess::~HelperProcess() {
  kill();
}

void HelperProcess::kill() {
  if (!report_) return;
  report_.reset();
  static_cast<void>(child_.signal(SIGKILL));
  static_cast<void>(child_.wait());
}

Result<std::string> HelperProcess::wait() {
  Result<std::string> text = sys::read_all(report_.get(), kMaxReport);
  // More than it may say: it does not stop by itself.
  if (!text) static_cast<void>(child_.signal(SIGKILL));
  report_.reset();
  TRY(int code, child_.wait());
  if (!text) return Error(std::move(text.error()));
  if (code != 0 || text->empty()) return died(code);
  return text;
}

}  // namespace wherry::archive
