#include "runtime/dbus.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/text.h"

namespace wherry::runtime {
namespace {

constexpr size_t kMaxMessage = 1 << 20;
constexpr size_t kFixedHeader = 16;  // up to and with the length of the field array
constexpr size_t kMaxTexts = 16;
constexpr int64_t kMillisecond = 1'000'000;
constexpr int kHandshakeMs = 10'000;
enum Field : uint8_t {
  kPath = 1,
  kInterface = 2,
  kMember = 3,
  kErrorName = 4,
  kReplySerial = 5,
  kDestination = 6,
  kSignature = 8,
};
enum Type : uint8_t { kMethodCall = 1, kMethodReturn = 2, kError = 3, kSignal = 4 };

Error malformed() {
  return Error(ErrorKind::kCorrupt, "malformed message from the bus");
}

// Reads marshalled values with every offset checked.
class Cursor {
 public:
  Cursor(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}
  size_t at() const { return at_; }
  bool align(size_t boundary) {
    at_ = (at_ + boundary - 1) / boundary * boundary;
    return at_ <= bytes_.size();
  }
  bool byte(uint8_t& value) {
    if (at_ >= bytes_.size()) return false;
    value = static_cast<uint8_t>(bytes_[at_++]);
    return true;
  }
  bool u32(uint32_t& value) {
    if (!align(4) || bytes_.size() - at_ < sizeof value) return false;
    memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  bool text(std::string& value) {
    uint32_t size = 0;
    return u32(size) && take(size, value);
  }
  bool signature(std::string& value) {
    uint8_t size = 0;
    return byte(size) && take(size, value);
  }

 private:
  bool take(size_t size, std::string& value) {
    if (bytes_.size() - at_ < size + 1) return false;  // with its closing NUL
    value.assign(bytes_.substr(at_, size));
    at_ += size + 1;
    return true;
  }
  std::string_view bytes_;
  size_t at_;
};

// One header field: its number, and its value in a variant of a basic type.
bool take_field(Cursor& cursor, DbusMessage& message) {
  uint8_t number = 0;
  std::string type;
  if (!cursor.align(8) || !cursor.byte(number) || !cursor.signature(type)) return false;
  if (type == "u") {
    uint32_t value = 0;
    if (!cursor.u32(value)) return false;
    if (number == kReplySerial) message.reply_serial = value;
    return true;
  }
  std::string value;
  if (type == "g") {
    if (!cursor.signature(value)) return false;
    if (number == kSignature) message.signature = value;
    return true;
  }
  if ((type != "s" && type != "o") || !cursor.text(value)) return false;
  if (number == kPath) message.path = value;
  if (number == kInterface) message.interface = value;
  if (number == kMember) message.member = value;
  if (number == kErrorName) message.error_name = value;
  return true;
}

// What signals and errors carry first: texts and numbers, until something else comes.
void take_texts(DbusMessage& message) {
  Cursor cursor(message.body, 0);
  for (char type : message.signature) {
    std::string value;
    uint32_t number = 0;
    if (type == 'u' ? !cursor.u32(number) : (type != 's' && type != 'o') || !cursor.text(value))
      return;
    if (type != 'u') message.texts.push_back(std::move(value));
    if (message.texts.size() >= kMaxTexts) return;
  }
}

std::string marshal_call(const DbusConnection::Call& call, uint32_t serial) {
  DbusWriter header;
  header.byte('l');
  header.byte(kMethodCall);
  header.byte(0);
  header.byte(1);  // the protocol's version
  header.u32(static_cast<uint32_t>(call.body.size()));
  header.u32(serial);
  const size_t fields = header.begin_array(8);
  const auto field = [&](Field number, const char* type, const std::string& value) {
    if (value.empty()) return;
    header.align(8);
    header.byte(number);
    header.signature(type);
    if (*type == 'g') {
      header.signature(value);
    } else {
      header.text(value);
    }
  };
  field(kPath, "o", call.path);
  field(kInterface, "s", call.interface);
  field(kMember, "s", call.member);
  field(kDestination, "s", call.destination);
  field(kSignature, "g", call.signature);
  header.end_array(fields);
  header.align(8);
  return header.bytes() + call.body;
}

int timeout_of(int64_t deadline_ns) {
  const int64_t left = deadline_ns - monotonic_ns();
  return left <= 0 ? 0 : static_cast<int>((left + kMillisecond - 1) / kMillisecond);
}

// More bytes of the stream at the end of `received`.
Result<void> read_more(int fd, std::string& received, int64_t deadline_ns) {
  pollfd entry{fd, POLLIN, 0};
  const int ready = poll(&entry, 1, timeout_of(deadline_ns));
  if (ready < 0 && errno == EINTR) return {};
  if (ready < 0) return Error::from_errno(errno, "cannot wait for the bus");
  if (ready == 0) return Error(ErrorKind::kUnavailable, "the bus does not answer in time");
  char buffer[4096];
  const ssize_t got = read(fd, buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return {};
  if (got < 0) return Error::from_errno(errno, "cannot read from the bus");
  if (got == 0) return Error(ErrorKind::kUnavailable, "the bus has closed the connection");
  received.append(buffer, static_cast<size_t>(got));
  return {};
}

}  // namespace

void DbusWriter::raw(const void* value, size_t size) {
  align(size);
  bytes_.append(static_cast<const char*>(value), size);
}

void DbusWriter::align(size_t boundary) {
  bytes_.append((boundary - bytes_.size() % boundary) % boundary, '\0');
}

void DbusWriter::text(std::string_view value) {
  u32(static_cast<uint32_t>(value.size()));
  bytes_.append(value).push_back('\0');
}

void DbusWriter::signature(std::string_view value) {
  byte(static_cast<uint8_t>(value.size()));
  bytes_.append(value).push_back('\0');
}

size_t DbusWriter::begin_array(size_t boundary) {
  u32(0);
  const size_t length_at = bytes_.size() - sizeof(uint32_t);
  align(boundary);  // does not count into the length
  content_.push_back(bytes_.size());
  return length_at;
}

void DbusWriter::end_array(size_t begin) {
  const auto size = static_cast<uint32_t>(bytes_.size() - content_.back());
  content_.pop_back();
  memcpy(bytes_.data() + begin, &size, sizeof size);
}

Result<std::optional<DbusMessage>> take_message(std::string& bytes) {
  if (bytes.size() < kFixedHeader) return std::nullopt;
  if (bytes[0] != 'l') return malformed();  // systemd and the bus speak the machine's order
  uint32_t body_size = 0;
  uint32_t fields_size = 0;
  DbusMessage message;
  message.type = static_cast<uint8_t>(bytes[1]);
  memcpy(&body_size, bytes.data() + 4, 4);
  memcpy(&message.serial, bytes.data() + 8, 4);
  memcpy(&fields_size, bytes.data() + 12, 4);
  if (body_size > kMaxMessage || fields_size > kMaxMessage) return malformed();
  const size_t fields_end = kFixedHeader + fields_size;
  const size_t body_at = (fields_end + 7) / 8 * 8;
  if (bytes.size() < body_at + body_size) return std::nullopt;
  Cursor cursor(std::string_view(bytes).substr(0, fields_end), kFixedHeader);
  while (cursor.at() < fields_end)
    if (!take_field(cursor, message)) return malformed();
  message.body = bytes.substr(body_at, body_size);
  take_texts(message);
  bytes.erase(0, body_at + body_size);
  return message;
}

Result<DbusConnection> DbusConnection::open(const std::string& socket_path) {
  const std::string context = "cannot reach the bus at '" + socket_path + "'";
  sys::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!socket || socket_path.size() >= sizeof address.sun_path)
    return Error::from_errno(socket ? ENAMETOOLONG : errno, context);
  socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno(errno, context);
  DbusConnection bus(std::move(socket));
  TRY_VOID_CTX(bus.authenticate(), context);
  const Call hello{.destination = "org.freedesktop.DBus",
                   .path = "/org/freedesktop/DBus",
                   .interface = "org.freedesktop.DBus",
                   .member = "Hello",
                   .signature = {},
                   .body = {}};
  TRY_VOID_CTX(bus.call(hello, kHandshakeMs), context);
  return bus;
}

Result<void> DbusConnection::authenticate() {
  const std::string uid = std::to_string(getuid());
  const std::string hex = to_hex({reinterpret_cast<const unsigned char*>(uid.data()), uid.size()});
  TRY_VOID(sys::write_all(socket_.get(), std::string(1, '\0') + "AUTH EXTERNAL " + hex + "\r\n"));
  const int64_t deadline = monotonic_ns() + kHandshakeMs * kMillisecond;
  while (received_.find("\r\n") == std::string::npos) {
    if (received_.size() > 1024) return malformed();
    TRY_VOID(read_more(socket_.get(), received_, deadline));
  }
  if (!received_.starts_with("OK "))
    return Error(ErrorKind::kPermissionDenied, "the bus refuses our user");
  received_.erase(0, received_.find("\r\n") + 2);
  return sys::write_all(socket_.get(), "BEGIN\r\n");
}

Result<DbusMessage> DbusConnection::receive(int64_t deadline_ns) {
  for (;;) {
    TRY(std::optional<DbusMessage> message, take_message(received_));
    if (message) return std::move(*message);
    TRY_VOID(read_more(socket_.get(), received_, deadline_ns));
  }
}

Result<DbusMessage> DbusConnection::call(const Call& call, int timeout_ms) {
  const std::string context = "cannot call '" + call.member + "'";
  const int64_t deadline = monotonic_ns() + timeout_ms * kMillisecond;
  const uint32_t serial = ++serial_;
  TRY_VOID_CTX(sys::write_all(socket_.get(), marshal_call(call, serial)), context);
  for (;;) {
    TRY_CTX(DbusMessage message, receive(deadline), context);
    if (message.type == kSignal)
      signals_.push_back(std::move(message));
    else if (message.reply_serial == serial && message.type == kMethodReturn)
      return message;
    else if (message.reply_serial == serial && message.type == kError)
      return Error(
          ErrorKind::kUnavailable,
          fmt::format("{}: {}{}{}", context, message.error_name, message.texts.empty() ? "" : ": ",
                      message.texts.empty() ? "" : message.texts.front()));
  }
}

Result<DbusMessage> DbusConnection::next_signal(int timeout_ms) {
  const int64_t deadline = monotonic_ns() + timeout_ms * kMillisecond;
  if (!signals_.empty()) {
    DbusMessage first = std::move(signals_.front());
    signals_.erase(signals_.begin());
    return first;
  }
  for (;;) {
    TRY(DbusMessage message, receive(deadline));
    if (message.type == kSignal) return message;
  }
}

}  // namespace wherry::runtime
