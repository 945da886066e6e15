// The conversation between the parent and the stage before execve: typed messages over a
// SOCK_SEQPACKET pair whose child end is close-on-exec, so that the end of the conversation is the
// successful execve.
//
//   child  -> parent  kWarning* kHooks? kConsole? kReady      then, after kStart, nothing or
//   kFailed parent -> child   kLinkReady? kHooksDone? kStart
//
// With a start socket (runtime/container.h) kStart comes over a new connection to it; the child
// answers kReady, which tells the one starter that was first from all others.
// A seccomp filter that notifies: kListener with the number of the listener's fd in the child,
// which the starter fetches and answers with kListenerTaken.
//
// kFailed carries an Error whole (kind, errno, message, hint) and ends the conversation from any
// point. Plain read and write are used where no fd travels: every sensible seccomp filter allows
// them.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

enum class MessageType : uint32_t {
  kWarning,
  kConsole,
  kReady,
  kLinkReady,
  kStart,
  kFailed,
  kHooks,
  kHooksDone,
  kListener,
  kListenerTaken,
  kMapUsers,
  kUsersMapped,
};

struct Message {
  MessageType type = MessageType::kReady;
  std::string text;            // of kWarning, kListener
  std::optional<Error> error;  // of kFailed
  sys::Fd console;             // of kConsole
};

class Channel {
 public:
  Channel() = default;
  explicit Channel(sys::Fd socket) : socket_(std::move(socket)) {}

  Result<void> send(MessageType type, const std::string& text = {});
  Result<void> send_error(const Error& error);
  Result<void> send_console(int master);
  // nullopt: the other end is closed.
  Result<std::optional<Message>> receive();
  // Waits for exactly this message; kInternal for another one, kUnavailable when the peer is gone.
  Result<void> expect(MessageType type);
  // Whether the other end is closed already.
  bool peer_gone() const;

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

 private:
  sys::Fd socket_;
};

struct ChannelPair {
  Channel parent;
  Channel child;
};
Result<ChannelPair> make_channel_pair();

}  // namespace wherry::runtime
