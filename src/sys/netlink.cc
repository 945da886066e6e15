#include "sys/netlink.h"

#include <sys/socket.h>

#include <cerrno>

namespace wherry::sys {
namespace {

constexpr size_t kAckBuffer = 8 * 1024;
constexpr size_t kDumpBuffer = 64 * 1024;
constexpr size_t kDefaultSendBuffer = 128 * 1024;
constexpr size_t kMaxReplies = 1 << 20;
constexpr int kDumpAttempts = 16;

size_t aligned(size_t size) {
  return (size + 3) & ~size_t{3};
}

// Calls `visit(header, payload)` for each whole message in `data`.
template <typename Visit>
void for_each_message(std::string_view data, Visit visit) {
  while (data.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    memcpy(&header, data.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > data.size()) return;
    visit(header, data.substr(sizeof header, header.nlmsg_len - sizeof header));
    data.remove_prefix(std::min(aligned(header.nlmsg_len), data.size()));
  }
}

size_t expected_acks(std::string_view messages) {
  size_t count = 0;
  for_each_message(messages, [&](const nlmsghdr& header, std::string_view) {
    if ((header.nlmsg_flags & NLM_F_ACK) != 0) ++count;
  });
  return count;
}

bool asks_for_dump(std::string_view requests) {
  bool dump = false;
  for_each_message(requests, [&](const nlmsghdr& header, std::string_view) {
    if ((header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) dump = true;
  });
  return dump;
}

// The failure in an NLMSG_ERROR message; errnum 0 is a plain acknowledgement.
NetlinkFailure parse_ack(const nlmsghdr& header, std::string_view payload) {
  NetlinkFailure failure{header.nlmsg_seq, EPROTO, {}};
  nlmsgerr error;
  if (payload.size() < sizeof error) return failure;
  memcpy(&error, payload.data(), sizeof error);
  failure.errnum = -error.error;
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return failure;
  // Without NLM_F_CAPPED the refused message is echoed before the attributes.
  size_t skip = sizeof error;
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0)
    skip += aligned(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  if (skip >= payload.size()) return failure;
  failure.text = attribute_string(payload.substr(skip), NLMSGERR_ATTR_MSG).value_or("");
  return failure;
}

// One datagram of answers; 0 bytes: none is there.
Result<size_t> receive(int fd, char* buffer, size_t size) {
  for (;;) {
    ssize_t got = recv(fd, buffer, size, MSG_DONTWAIT | MSG_TRUNC);
    if (got >= 0 && static_cast<size_t>(got) > size)
      return Error(ErrorKind::kInternal, "netlink answer is larger than its buffer");
    if (got >= 0) return static_cast<size_t>(got);
    if (errno == EAGAIN) return size_t{0};
    if (errno != EINTR) return Error::from_errno(errno, "cannot read a netlink answer");
  }
}

}  // namespace

void NetlinkBuffer::append(const void* data, size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize(aligned(bytes_.size()));
  uint32_t length = static_cast<uint32_t>(bytes_.size() - message_);
  memcpy(bytes_.data() + message_, &length, sizeof length);
}

uint32_t NetlinkBuffer::begin(uint16_t type, uint16_t flags) {
  message_ = bytes_.size();
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags | NLM_F_REQUEST;
  header.nlmsg_seq = ++sequence_;
  bytes_.append(sizeof header, '\0');
  memcpy(bytes_.data() + message_, &header, sizeof header);
  append("", 0);
  return sequence_;
}

void NetlinkBuffer::put(uint16_t attribute, std::string_view bytes) {
  nlattr header{static_cast<uint16_t>(sizeof header + bytes.size()), attribute};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  append(bytes.data(), bytes.size());
}

void NetlinkBuffer::put_string(uint16_t attribute, std::string_view text) {
  nlattr header{static_cast<uint16_t>(sizeof header + text.size() + 1), attribute};
  bytes_.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes_.append(text);
  append("", 1);
}

NetlinkBuffer::Nest::Nest(NetlinkBuffer& buffer, uint16_t attribute, bool flagged)
    : buffer_(buffer), offset_(buffer.bytes_.size()) {
  nlattr header{sizeof header, static_cast<uint16_t>(attribute | (flagged ? NLA_F_NESTED : 0))};
  buffer_.append(&header, sizeof header);
}

NetlinkBuffer::Nest::~Nest() {
  uint16_t length = static_cast<uint16_t>(buffer_.bytes_.size() - offset_);
  memcpy(buffer_.bytes_.data() + offset_, &length, sizeof length);
}

void for_each_attribute(std::string_view attributes,
                        const std::function<void(uint16_t, std::string_view)>& visit) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, attributes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > attributes.size()) return;
    visit(header.nla_type & NLA_TYPE_MASK,
          attributes.substr(sizeof header, header.nla_len - sizeof header));
    attributes.remove_prefix(std::min(aligned(header.nla_len), attributes.size()));
  }
}

std::optional<std::string_view> find_attribute(std::string_view attributes, uint16_t type) {
  std::optional<std::string_view> found;
  for_each_attribute(attributes, [&](uint16_t each, std::string_view value) {
    if (each == type && !found) found = value;
  });
  return found;
}

std::optional<uint32_t> attribute_u32(std::string_view attributes, uint16_t type) {
  std::optional<std::string_view> value = find_attribute(attributes, type);
  if (!value || value->size() != sizeof(uint32_t)) return std::nullopt;
  uint32_t number;
  memcpy(&number, value->data(), sizeof number);
  return number;
}

std::optional<uint32_t> attribute_u32_be(std::string_view attributes, uint16_t type) {
  std::optional<uint32_t> number = attribute_u32(attributes, type);
  if (!number) return std::nullopt;
  return __builtin_bswap32(*number);
}

std::optional<uint64_t> attribute_u64_be(std::string_view attributes, uint16_t type) {
  std::optional<std::string_view> value = find_attribute(attributes, type);
  if (!value || value->size() != sizeof(uint64_t)) return std::nullopt;
  uint64_t number;
  memcpy(&number, value->data(), sizeof number);
  return __builtin_bswap64(number);
}

std::optional<std::string> attribute_string(std::string_view attributes, uint16_t type) {
  std::optional<std::string_view> value = find_attribute(attributes, type);
  if (!value) return std::nullopt;
  return std::string(value->substr(0, value->find('\0')));
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return Error::from_errno(errno, "cannot open a netlink socket");
  // Short answers with the kernel's own words; kernels before 4.12 answer without them.
  int on = 1;
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return NetlinkSocket(std::move(fd));
}

Result<void> NetlinkSocket::send(std::string_view messages) {
  if (messages.size() > kDefaultSendBuffer) {
    int size = static_cast<int>(2 * messages.size());
    if (setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
      return Error::from_errno(errno, "cannot enlarge a netlink buffer");
  }
  for (;;) {
    ssize_t sent = ::send(fd_.get(), messages.data(), messages.size(), 0);
    if (sent == static_cast<ssize_t>(messages.size())) return {};
    if (sent >= 0) return Error(ErrorKind::kInternal, "netlink request was cut");
    if (errno != EINTR) return Error::from_errno(errno, "cannot send a netlink request");
  }
}

Result<std::vector<NetlinkFailure>> NetlinkSocket::transact(std::string_view messages) {
  TRY_VOID(send(messages));
  std::vector<NetlinkFailure> failures;
  size_t missing = expected_acks(messages);
  char buffer[kAckBuffer];
  for (;;) {
    TRY(size_t got, receive(fd_.get(), buffer, sizeof buffer));
    if (got == 0) break;
    for_each_message({buffer, got}, [&](const nlmsghdr& header, std::string_view payload) {
      if (header.nlmsg_type != NLMSG_ERROR) return;
      NetlinkFailure answer = parse_ack(header, payload);
      if (missing > 0) --missing;
      if (answer.errnum != 0) failures.push_back(std::move(answer));
    });
    if (missing == 0 && failures.empty()) break;
  }
  if (missing > 0 && failures.empty())
    return Error(ErrorKind::kInternal, "the kernel did not answer a netlink request");
  return failures;
}

Result<bool> NetlinkSocket::ask_once(std::string_view requests,
                                     std::vector<NetlinkReply>& replies) {
  TRY_VOID(send(requests));
  // A dump comes in pieces of up to 32 KiB; for one object the zeroing would cost more than the
  // question.
  std::string buffer(asks_for_dump(requests) ? kDumpBuffer : kAckBuffer, '\0');
  bool interrupted = false;
  int errnum = 0;
  for (bool done = false; !done;) {
    TRY(size_t got, receive(fd_.get(), buffer.data(), buffer.size()));
    if (got == 0) break;
    for_each_message({buffer.data(), got}, [&](const nlmsghdr& header, std::string_view payload) {
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (header.nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (header.nlmsg_type == NLMSG_ERROR) {
        int error = parse_ack(header, payload).errnum;
        if (error != 0 && error != ENOENT && error != ENODEV) errnum = error;
      } else if (header.nlmsg_type >= NLMSG_MIN_TYPE) {
        replies.push_back({header.nlmsg_type, std::string(payload)});
      }
    });
    if (replies.size() > kMaxReplies)
      return Error(ErrorKind::kResourceExhausted, "the kernel answers with too many objects");
  }
  if (errnum == EINTR || errnum == EAGAIN) interrupted = true;
  if (errnum != 0 && !interrupted) return Error::from_errno(errnum, "cannot query the kernel");
  return interrupted;
}

Result<std::vector<NetlinkReply>> NetlinkSocket::ask(std::string_view requests) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    std::vector<NetlinkReply> replies;
    TRY(bool interrupted, ask_once(requests, replies));
    if (!interrupted) return replies;
  }
  return Error(ErrorKind::kUnavailable, "the kernel's tables change too fast to be read");
}

}  // namespace wherry::sys
