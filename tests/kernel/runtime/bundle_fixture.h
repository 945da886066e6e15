// A bundle on disk for kernel tests: the payload's root, a state directory, and what the program
// printed to the test's own standard output, which is a pipe meanwhile.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>
#include <string>

#include "container_fixture.h"
#include "runtime/bundle.h"

namespace wherry::runtime {

class BundleTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    bundle_ = base_ / "bundle";
    fs::create_directories(bundle_);
    fs::rename(base_ / "lower", bundle_ / "rootfs");
    fs::create_directories(base_ / "lower");
    state_dir_ = base_ / "state";
    fs::create_directories(state_dir_);
    spec_.root_path = "rootfs";
    options_.spec = &spec_;
    options_.id = "box";
    options_.bundle = bundle_;
    options_.state_dir = state_dir_;
    options_.detached = false;
  }

  // Runs `work` with a pipe as standard output; what was written there until everybody closed it.
  template <typename Work>
  std::string captured(Work work) {
    auto pipe = sys::make_pipe();
    EXPECT_TRUE(pipe);
    fflush(stdout);
    sys::Fd saved(fcntl(1, F_DUPFD_CLOEXEC, 10));
    dup2(pipe->write.get(), 1);
    pipe->write.reset();
    work();
    dup2(saved.get(), 1);
    auto text = sys::read_all(pipe->read.get(), 1 << 20);
    return text ? *text : "";
  }

  // create, start, wait, destroy.
  Result<Ran> run_bundle(std::vector<std::string> words) {
    spec_.process.args = {"/bin/payload"};
    spec_.process.args.insert(spec_.process.args.end(), words.begin(), words.end());
    Result<Ran> result = Ran{};
    std::string out = captured([&] { result = run_quietly(); });
    if (result) result->out = out;
    return result;
  }

  Result<Ran> run_quietly() {
    TRY(BundleContainer container, BundleContainer::create(options_));
    warnings_ = container.warnings();
    Result<void> started = container.start();
    if (!started) {
      [[maybe_unused]] auto destroyed = container.destroy();
      return Error(std::move(started.error()));
    }
    TRY(Container::Exit exit, container.reap());
    TRY_VOID(container.destroy());
    return Ran{exit.code, ""};
  }

  Result<void> end_bundle(BundleContainer& container) {
    TRY_VOID(sys::signal_process(container.pidfd(), SIGKILL));
    TRY_VOID(container.reap());
    return container.destroy();
  }

  // A hook of the test's: a shell line of the host.
  oci::Hook shell(const std::string& line) const {
    return {.path = "/bin/sh", .args = {"sh", "-c", line}, .env = {"PATH=/usr/bin:/bin"}};
  }
  std::string read_text(const fs::path& path) const {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path bundle_, state_dir_;
  BundleOptions options_;
};

}  // namespace wherry::runtime
