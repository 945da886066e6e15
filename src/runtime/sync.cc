#include "runtime/sync.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "sys/fd_message.h"

namespace wherry::runtime {
namespace {

constexpr size_t kTextLimit = 4096;

// The bytes of one packet. Both ends are one program, so the layout needs no version.
struct Packet {
  MessageType type;
  ErrorKind kind;
  int errnum;
  uint32_t text_size;
  uint32_t hint_size;
  char bytes[kTextLimit];  // text, then hint

  size_t size() const { return offsetof(Packet, bytes) + text_size + hint_size; }
};

Packet make_packet(MessageType type, std::string_view text, std::string_view hint) {
  Packet packet{};
  packet.type = type;
  packet.text_size = static_cast<uint32_t>(std::min(text.size(), kTextLimit));
  packet.hint_size = static_cast<uint32_t>(std::min(hint.size(), kTextLimit - packet.text_size));
  text.copy(packet.bytes, packet.text_size);
  hint.copy(packet.bytes + packet.text_size, packet.hint_size);
  return packet;
}

bool is_from_parent(MessageType type) {
  switch (type) {
    case MessageType::kLinkReady:
    case MessageType::kStart:
    case MessageType::kHooksDone:
    case MessageType::kListenerTaken:
    case MessageType::kUsersMapped:
      return true;
    default:
      return false;
  }
}

Result<void> write_packet(int fd, const Packet& packet) {
  bool from_parent = is_from_parent(packet.type);
  ssize_t written = 0;
  do {
    // The parent must survive a child that is gone; the child must get by with plain write.
    written = from_parent ? ::send(fd, &packet, packet.size(), MSG_NOSIGNAL)
                          : write(fd, &packet, packet.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return Error::from_errno(errno, "cannot talk to the container's other stage");
  return {};
}

bool well_formed(const Packet& packet, size_t got) {
  return got >= offsetof(Packet, bytes) && packet.text_size <= kTextLimit &&
         packet.hint_size <= kTextLimit - packet.text_size && got == packet.size();
}

Message to_message(const Packet& packet) {
  Message message;
  message.type = packet.type;
  message.text.assign(packet.bytes, packet.text_size);
  if (packet.type == MessageType::kFailed) {
    Error error = Error(packet.kind, message.text).set_errnum(packet.errnum);
    if (packet.hint_size > 0)
      error.set_hint(std::string(packet.bytes + packet.text_size, packet.hint_size));
    message.error = std::move(error);
  }
  return message;
}

}  // namespace

Result<void> Channel::send(MessageType type, const std::string& text) {
  return write_packet(socket_.get(), make_packet(type, text, {}));
}

Result<void> Channel::send_error(const Error& error) {
  Packet packet = make_packet(MessageType::kFailed, error.message(), error.hint());
  packet.kind = error.kind();
  packet.errnum = error.errnum();
  return write_packet(socket_.get(), packet);
}

Result<void> Channel::send_console(int master) {
  const Packet packet = make_packet(MessageType::kConsole, {}, {});
  TRY_VOID_CTX(sys::send_with_fd(socket_.get(),
                                 {reinterpret_cast<const char*>(&packet), packet.size()}, master),
               "cannot pass the terminal on");
  return {};
}

Result<std::optional<Message>> Channel::receive() {
  Packet packet{};
  const std::span<char> bytes(reinterpret_cast<char*>(&packet), sizeof packet);
  Result<sys::FdMessage> got = sys::receive_with_fd(socket_.get(), bytes);
  // A peer that dies with unread messages resets the connection. That is told once, before what it
  // has sent.
  while (!got && got.error().errnum() == ECONNRESET)
    got = sys::receive_with_fd(socket_.get(), bytes);
  if (!got) return fail(std::move(got), "cannot listen to the container's other stage");
  if (got->size == 0) return std::nullopt;
  if (!well_formed(packet, got->size))
    return Error(ErrorKind::kInternal, "malformed message from the container's other stage");
  Message message = to_message(packet);
  message.console = std::move(got->fd);
  return message;
}

Result<void> Channel::expect(MessageType type) {
  // Not receive(): recvmsg may be beyond what a container's filter allows by now.
  Packet packet{};
  ssize_t got = 0;
  do {
    got = read(socket_.get(), &packet, sizeof packet);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return Error(ErrorKind::kUnavailable, "the container's monitor is gone");
  if (!well_formed(packet, static_cast<size_t>(got)) || packet.type != type)
    return Error(ErrorKind::kInternal, "unexpected message from the container's monitor");
  return {};
}

bool Channel::peer_gone() const {
  pollfd entry{socket_.get(), POLLIN, 0};
  return poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP) != 0;
}

Result<ChannelPair> make_channel_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Error::from_errno(errno, "cannot make a socket pair");
  return ChannelPair{Channel(sys::Fd(ends[0])), Channel(sys::Fd(ends[1]))};
}

}  // namespace wherry::runtime
