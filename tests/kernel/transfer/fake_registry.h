// registry_fake.py as a child of a kernel test.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "sys/process.h"
#include "transfer/remote.h"

namespace wherry::transfer {

inline constexpr uint32_t kStallMs = 400;

// Ends with the object.
class Fake {
 public:
  explicit Fake(const std::string& options, std::vector<std::string> content = {}) {
    std::string source = WHERRY_TEST_DATA;
    std::string top = source.substr(0, source.rfind("/tests/"));
    char name[] = "/tmp/registry-log-XXXXXX";
    sys::Fd log(mkstemp(name));
    log_ = name;
    sys::SpawnOptions spawn;
    spawn.program = "/usr/bin/env";
    spawn.arguments = {"env",       "python3", top + "/tests/harness/registry_fake.py",
                       "--options", options,   "--log",
                       log_};
    for (std::string& item : content) spawn.arguments.push_back(std::move(item));
    for (char** variable = environ; *variable != nullptr; ++variable)
      spawn.environment.emplace_back(*variable);
    sys::Pipe in = *sys::make_pipe();
    sys::Pipe out = *sys::make_pipe();
    spawn.fds = {{in.read.get(), 0}, {out.write.get(), 1}};
    child_ = std::move(*sys::spawn(spawn));
    out.write.reset();
    end_ = std::move(in.write);
    char c = 0;
    while (read(out.read.get(), &c, 1) == 1 && c != '\n') port_ += c;
  }
  ~Fake() {
    end_.reset();
    [[maybe_unused]] Result<int> code = child_.wait();
    unlink(log_.c_str());
  }

  std::string address() const { return "127.0.0.1:" + port_; }
  Endpoint endpoint(const std::string& password = "", const std::string& scheme = "http") const {
    Endpoint endpoint;
    endpoint.domain = address();
    endpoint.base_url = scheme + "://" + address();
    endpoint.connect_ms = 2000;
    endpoint.stall_ms = kStallMs;
    endpoint.backoff_ms = 5;
    if (!password.empty()) endpoint.credentials = Credentials{"user", password, ""};
    return endpoint;
  }
  std::vector<std::string> log() const {
    std::string text = *sys::read_file(log_, 64u << 20);
    std::vector<std::string> lines;
    for (std::string_view line : split(trim(text), '\n')) lines.emplace_back(line);
    return lines;
  }
  // Lines of the log that have all the words.
  size_t count(const std::vector<std::string>& words) const {
    size_t found = 0;
    for (const std::string& line : log())
      found += std::ranges::all_of(
          words, [&](const std::string& word) { return line.find(word) != line.npos; });
    return found;
  }

 private:
  sys::Child child_;
  sys::Fd end_;
  std::string port_, log_;
};

}  // namespace wherry::transfer
