// What a builder tells while it works. Front ends decide what it looks like (cli/build_progress.h);
// nothing here blocks or fails.
#pragma once

#include <string>
#include <string_view>

namespace wherry::build {

class Progress {
 public:
  enum class Outcome { kRan, kCached, kFailed, kCanceled };

  virtual ~Progress() = default;
  // Numbers count from 1 in the order of beginning; one part at a time.
  virtual void begin(int number, const std::string& title) = 0;
  // What a step's program writes, stdout and stderr in the order of arrival.
  virtual void output(std::string_view data) = 0;
  // A line about the part that is at work: "naming to ...".
  virtual void detail(const std::string& text) = 0;
  // `error`: why it failed, else empty.
  virtual void end(Outcome outcome, const std::string& error) = 0;
  virtual void warning(const std::string& text) = 0;
  // After end(kFailed): the lines of the Dockerfile where it was, marked (dockerfile.h's excerpt).
  virtual void failed_at(const std::string& excerpt) = 0;
  // Called now and then while a step runs.
  virtual void tick() = 0;
};

}  // namespace wherry::build
