// Netlink messages and transactions: a byte buffer that messages with attributes are written into,
// and a socket that sends one buffer and collects what the kernel says to each message.
//
// Not a general netlink library: no multicast, no event loops. rtnetlink.h and nfnetlink.h are the
// typed callers; network/nft_batch.h only builds. The kernel works a request off inside sendmsg(2),
// so the answers are there when it returns and nothing here waits. Source: netlink(7), kernel
// Documentation/userspace-api/netlink/intro.rst.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::sys {

// One or more netlink messages as bytes. Message number n (from 1) has sequence number n.
class NetlinkBuffer {
 public:
  NetlinkBuffer() { bytes_.reserve(1024); }

  // Starts a message; what follows belongs to it. Returns its sequence number. NLM_F_REQUEST is
  // implied.
  uint32_t begin(uint16_t type, uint16_t flags);
  // The fixed part after the message header (ifinfomsg, nfgenmsg, ...).
  template <typename T>
  void fixed(const T& value) {
    append(&value, sizeof value);
  }

  void put(uint16_t attribute, std::string_view bytes);
  void put_string(uint16_t attribute, std::string_view text);  // with the closing NUL
  void put_u8(uint16_t attribute, uint8_t value) { put_value(attribute, value); }
  void put_u16(uint16_t attribute, uint16_t value) { put_value(attribute, value); }
  void put_u32(uint16_t attribute, uint32_t value) { put_value(attribute, value); }
  void put_u32_be(uint16_t attribute, uint32_t value) {
    put_value(attribute, __builtin_bswap32(value));
  }
  void put_u64_be(uint16_t attribute, uint64_t value) {
    put_value(attribute, __builtin_bswap64(value));
  }

  // While it lives, what is put goes inside `attribute`. A nest holds at most 64 KiB.
  class Nest {
   public:
    Nest(NetlinkBuffer& buffer, uint16_t attribute, bool flagged = true);
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    ~Nest();

   private:
    NetlinkBuffer& buffer_;
    size_t offset_;
  };
  std::string_view bytes() const { return bytes_; }
  std::string take() && { return std::move(bytes_); }

 private:
  template <typename T>
  void put_value(uint16_t attribute, T value) {
    char raw[sizeof value];
    memcpy(raw, &value, sizeof value);
    put(attribute, std::string_view(raw, sizeof raw));
  }
  void append(const void* data, size_t size);

  std::string bytes_;
  size_t message_ = 0;  // where the current message starts
  uint32_t sequence_ = 0;
};

// Walks "attribute, attribute, ..." and stops at the first malformed one. The flag bits are cut off
// `type`.
void for_each_attribute(std::string_view attributes,
                        const std::function<void(uint16_t type, std::string_view value)>& visit);
// The value of the first attribute of `type`.
std::optional<std::string_view> find_attribute(std::string_view attributes, uint16_t type);
std::optional<uint32_t> attribute_u32(std::string_view attributes, uint16_t type);
std::optional<uint32_t> attribute_u32_be(std::string_view attributes, uint16_t type);
std::optional<uint64_t> attribute_u64_be(std::string_view attributes, uint16_t type);
// Up to the first NUL.
std::optional<std::string> attribute_string(std::string_view attributes, uint16_t type);

struct NetlinkFailure {
  uint32_t sequence = 0;
  int errnum = 0;
  std::string text;  // the kernel's own words, may be empty
};

struct NetlinkReply {
  uint16_t type = 0;
  std::string payload;  // behind the netlink header
};

// An unshared socket of one netlink protocol in the namespace of the thread that opened it.
class NetlinkSocket {
 public:
  static Result<NetlinkSocket> open(int protocol);

  // Sends all messages at once; returns what failed, in the kernel's order: empty when all is well.
  // At most some 200 messages may ask for an acknowledgement: more overflow the socket (ENOBUFS).
  // An error of the result itself means the transaction could not be made at all.
  Result<std::vector<NetlinkFailure>> transact(std::string_view messages);

  // Sends requests that answer with objects and collects the objects: NLM_F_DUMP (one message then)
  // until done, else (any number of messages) what is there. Objects that do not exist (ENOENT,
  // ENODEV) are left out. A dump the kernel calls interrupted is repeated.
  Result<std::vector<NetlinkReply>> ask(std::string_view requests);

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  Result<void> send(std::string_view messages);
  Result<bool> ask_once(std::string_view requests, std::vector<NetlinkReply>& replies);
  Fd fd_;
};

}  // namespace wherry::sys
