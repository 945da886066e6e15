// As much of D-Bus as it takes to ask systemd for a unit: one connection to the system bus, method
// calls with a few argument types, waiting for one signal. No library: it must be small and static.
//
// Messages are marshalled little-endian. Replies are read with limits (a message of at most 1 MiB)
// and every offset checked. Source: D-Bus Specification 0.41, "Message Protocol", "Authentication".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

// Marshals values one after the other, each aligned as its type demands.
class DbusWriter {
 public:
  void byte(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void boolean(bool value) { u32(value ? 1 : 0); }
  void u32(uint32_t value) { raw(&value, sizeof value); }
  void u64(uint64_t value) { raw(&value, sizeof value); }
  void text(std::string_view value);       // s and o
  void signature(std::string_view value);  // g
  void align(size_t boundary);
  // An array: what is written between is its content. `boundary`: of its elements.
  size_t begin_array(size_t boundary);
  void end_array(size_t begin);

  const std::string& bytes() const { return bytes_; }

 private:
  void raw(const void* value, size_t size);

  std::string bytes_;
  std::vector<size_t> content_;  // where the open arrays' contents begin
};

struct DbusMessage {
  uint8_t type = 0;  // 1 call, 2 return, 3 error, 4 signal
  uint32_t serial = 0;
  uint32_t reply_serial = 0;
  std::string path, interface, member, error_name, signature;
  std::string body;
  std::vector<std::string> texts;  // the leading s and o values of the body
};

// One complete message from the front of `bytes`, which loses it; nullopt: not all there yet.
Result<std::optional<DbusMessage>> take_message(std::string& bytes);

class DbusConnection {
 public:
  // Connects, authenticates as our uid, says Hello. `socket_path`: the bus.
  static Result<DbusConnection> open(const std::string& socket_path);

  struct Call {
    std::string destination, path, interface, member, signature;
    std::string body;
  };
  // The return; an error reply is an error with its name and words. Signals that come meanwhile are
  // kept for next_signal.
  Result<DbusMessage> call(const Call& call, int timeout_ms);
  // The next signal, kept or new; kUnavailable after the timeout.
  Result<DbusMessage> next_signal(int timeout_ms);

 private:
  explicit DbusConnection(sys::Fd socket) : socket_(std::move(socket)) {}
  Result<void> authenticate();
  Result<DbusMessage> receive(int64_t deadline_ns);

  sys::Fd socket_;
  std::string received_;
  uint32_t serial_ = 0;
  std::vector<DbusMessage> signals_;
};

}  // namespace wherry::runtime
