#include "monitor/permit.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

namespace wherry::monitor {
namespace {

constexpr uint64_t kMaxDocument = 16u << 20;
constexpr char kPermit = 'p';

bool send_bytes(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// How much of it came before the end.
Result<size_t> receive_bytes(int socket, char* out, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t got = recv(socket, out + done, size - done, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot hear who launches it");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Error cut_short() {
  return Error(ErrorKind::kCorrupt, "the monitor's configuration is cut short");
}

}  // namespace

void send_document(int socket, std::string_view document) {
  const uint64_t size = document.size();
  const std::string_view header(reinterpret_cast<const char*>(&size), sizeof size);
  if (send_bytes(socket, header)) send_bytes(socket, document);
}

Result<std::optional<std::string>> receive_document(int socket) {
  uint64_t size = 0;
  TRY(const size_t header, receive_bytes(socket, reinterpret_cast<char*>(&size), sizeof size));
  if (header == 0) return std::optional<std::string>();
  if (header < sizeof size) return cut_short();
  if (size > kMaxDocument)
    return Error(ErrorKind::kCorrupt, "the monitor's configuration is too large");
  std::string document(size, '\0');
  TRY(const size_t got, receive_bytes(socket, document.data(), size));
  if (got < size) return cut_short();
  return std::optional(std::move(document));
}

void send_permit(int socket) {
  send_bytes(socket, {&kPermit, 1});
}

Result<void> receive_permit(int socket) {
  char word = 0;
  TRY(const size_t got, receive_bytes(socket, &word, 1));
  if (got == 0) return Error(ErrorKind::kUnavailable, "the launch was called off");
  if (word != kPermit) return Error(ErrorKind::kCorrupt, "the permit to start is not one");
  return {};
}

}  // namespace wherry::monitor
