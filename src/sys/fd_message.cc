#include "sys/fd_message.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace wherry::sys {
namespace {

// One message in memory: the parts point at each other.
struct Frame {
  Frame(void* bytes, size_t size) : part{bytes, size} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  iovec part;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
};

}  // namespace

Result<size_t> send_with_fd(int socket, std::string_view bytes, int fd) {
  Frame frame(const_cast<char*>(bytes.data()), bytes.size());
  cmsghdr* item = CMSG_FIRSTHDR(&frame.header);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(item), &fd, sizeof fd);
  ssize_t sent = 0;
  do sent = sendmsg(socket, &frame.header, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return Error::from_errno(errno, "cannot send over a socket");
  return static_cast<size_t>(sent);
}

Result<FdMessage> receive_with_fd(int socket, std::span<char> bytes) {
  Frame frame(bytes.data(), bytes.size());
  ssize_t got = 0;
  do got = recvmsg(socket, &frame.header, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "cannot receive from a socket");
  FdMessage message{static_cast<size_t>(got), {}};
  const cmsghdr* item = CMSG_FIRSTHDR(&frame.header);
  if (item == nullptr || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
    return message;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(item), sizeof fd);
  message.fd = Fd(fd);
  return message;
}

}  // namespace wherry::sys
