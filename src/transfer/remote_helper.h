// The parent's end of a wherry-transfer: spawning it, requests with descriptors, reports back.
//
// Reports are read by a process that does not trust their writer: sizes are bounded, unknown fields
// refused. Ends the helper when destroyed.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sys/fd.h"
#include "sys/process.h"
#include "wire/messages.h"

namespace wherry::transfer {

class RemoteHelper {
 public:
  static Result<RemoteHelper> make();
  RemoteHelper(RemoteHelper&&) noexcept = default;
  RemoteHelper& operator=(RemoteHelper&&) = delete;
  ~RemoteHelper();

  bool started() const { return child_.pid() != 0; }
  // Spawns it and sends the opening with its files.
  Result<void> start(wire::Opening opening, const std::vector<sys::Fd>& files);
  // Returns the request's id. `fd` -1: none.
  Result<uint64_t> send(wire::Message message, int fd);
  // The report that ends request `id`; those of others are kept for next().
  Result<wire::Report> wait(uint64_t id);
  // The next report that nobody waited for.
  Result<wire::Report> next();
  // No report of this one follows.
  Result<void> cancel(uint64_t id);
  // Readable: next() has one, or says why there will be none.
  int fd() const { return epoll_.get(); }

 private:
  RemoteHelper() = default;
  Result<wire::Report> receive();
  Result<void> send_packet(const std::string& text, const std::vector<int>& fds);
  Error died();
  void keep(wire::Report report);
  void mark_kept();

  sys::Fd ours_, theirs_, epoll_, kept_mark_;
  sys::Child child_;
  uint64_t last_id_ = 0;
  std::deque<wire::Report> kept_;
};

}  // namespace wherry::transfer
