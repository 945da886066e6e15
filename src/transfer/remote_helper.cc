#include "transfer/remote_helper.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transfer/helper_environment.h"

namespace wherry::transfer {
namespace {

constexpr const char* kProgram = "wherry-transfer";

Result<void> watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return Error::from_errno(errno, "cannot watch a descriptor");
  return {};
}

}  // namespace

Result<RemoteHelper> RemoteHelper::make() {
  RemoteHelper helper;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return Error::from_errno(errno, "cannot make a socket pair");
  helper.ours_.reset(pair[0]);
  helper.theirs_.reset(pair[1]);
  helper.kept_mark_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  helper.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!helper.kept_mark_ || !helper.epoll_)
    return Error::from_errno(errno, "cannot make a descriptor for events");
  TRY_VOID(watch(helper.epoll_.get(), helper.ours_.get()));
  TRY_VOID(watch(helper.epoll_.get(), helper.kept_mark_.get()));
  return helper;
}

RemoteHelper::~RemoteHelper() {
  ours_.reset();
  if (child_.pid() == 0 || child_.pidfd() < 0) return;
  [[maybe_unused]] Result<void> killed = child_.signal(SIGKILL);
  [[maybe_unused]] Result<int> reaped = child_.wait();
}

Result<void> RemoteHelper::start(wire::Opening opening, const std::vector<sys::Fd>& files) {
  sys::SpawnOptions options;
  TRY(options.program, sys::find_helper(kProgram));
  options.arguments = {kProgram, "serve"};
  options.environment = helper_environment();
  options.fds = {{theirs_.get(), 0}, {2, 1}};
  TRY(child_, sys::spawn(std::move(options)));
  theirs_.reset();
  wire::Message message;
  message.id = ++last_id_;
  message.operation = wire::Operation::kOpen;
  message.opening = std::move(opening);
  std::vector<int> fds;
  for (const sys::Fd& file : files) fds.push_back(file.get());
  TRY_VOID(send_packet(wire::encode(message), fds));
  TRY(wire::Report report, wait(message.id));
  if (report.kind == wire::Report::Kind::kFailed) return report.error;
  return {};
}

Result<uint64_t> RemoteHelper::send(wire::Message message, int fd) {
  message.id = ++last_id_;
  std::vector<int> fds;
  if (fd >= 0) fds.push_back(fd);
  TRY_VOID(send_packet(wire::encode(message), fds));
  return message.id;
}

Result<void> RemoteHelper::send_packet(const std::string& text, const std::vector<int>& fds) {
  if (text.size() > wire::kMaxPacket || fds.size() > wire::kMaxPacketFds)
    return Error(ErrorKind::kInvalidArgument, "the request is too large for wherry-transfer");
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(wire::kMaxPacketFds * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(item), fds.data(), fds.size() * sizeof(int));
  }
  while (sendmsg(ours_.get(), &header, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return died();
    return Error::from_errno(errno, "cannot send a request to wherry-transfer");
  }
  return {};
}

Error RemoteHelper::died() {
  std::string how = "ended";
  if (child_.pid() != 0 && child_.pidfd() >= 0) {
    Result<int> code = child_.wait();
    if (code && *code > 128) how = "was killed by signal " + std::to_string(*code - 128);
    if (code && *code <= 128) how = "ended with code " + std::to_string(*code);
  }
  return Error(ErrorKind::kInternal, std::string(kProgram) + " " + how);
}

Result<wire::Report> RemoteHelper::receive() {
  std::string text(wire::kMaxPacket, '\0');
  ssize_t got = 0;
  do {
    got = recv(ours_.get(), text.data(), text.size(), 0);
    // A helper that dies with unread requests resets the socket. That is told once, before the
    // reports that it has sent.
  } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got == 0) return died();
  if (got < 0) return Error::from_errno(errno, "cannot hear from wherry-transfer");
  text.resize(static_cast<size_t>(got));
  return wire::decode_report(text);
}

void RemoteHelper::mark_kept() {
  uint64_t count = 0;
  if (kept_.empty()) {
    [[maybe_unused]] ssize_t drained = read(kept_mark_.get(), &count, sizeof count);
  } else {
    count = 1;
    [[maybe_unused]] ssize_t marked = write(kept_mark_.get(), &count, sizeof count);
  }
}

void RemoteHelper::keep(wire::Report report) {
  kept_.push_back(std::move(report));
  if (kept_.size() == 1) mark_kept();
}

Result<wire::Report> RemoteHelper::wait(uint64_t id) {
  for (;;) {
    TRY(wire::Report report, receive());
    if (report.id != id)
      keep(std::move(report));
    else if (report.kind != wire::Report::Kind::kProgress)
      return report;
  }
}

Result<wire::Report> RemoteHelper::next() {
  if (kept_.empty()) return receive();
  wire::Report report = std::move(kept_.front());
  kept_.pop_front();
  if (kept_.empty()) mark_kept();
  return report;
}

Result<void> RemoteHelper::cancel(uint64_t id) {
  wire::Message message;
  message.operation = wire::Operation::kCancel;
  message.target = id;
  TRY(uint64_t request, send(std::move(message), -1));
  // What the transfer had to say came before the answer.
  TRY(wire::Report answer, wait(request));
  std::erase_if(kept_, [id](const wire::Report& report) { return report.id == id; });
  if (kept_.empty()) mark_kept();
  return {};
}

}  // namespace wherry::transfer
