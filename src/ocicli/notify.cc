#include "ocicli/notify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/text.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

constexpr const char* kFolder = "notify";
constexpr const char* kSocket = "notify.sock";
constexpr size_t kMessageLimit = 4096;

struct Address {
  sockaddr_un bytes{};
  socklen_t size = 0;
};

// '@' at the start stands for the abstract namespace.
Result<Address> address_of(const std::string& path) {
  Address address;
  address.bytes.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.bytes.sun_path)
    return Error(ErrorKind::kInvalidArgument, "the socket's path '" + path + "' is too long");
  memcpy(address.bytes.sun_path, path.data(), path.size());
  if (path[0] == '@') address.bytes.sun_path[0] = '\0';
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return address;
}

Result<sys::Fd> datagram_socket() {
  sys::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "cannot make a socket");
  return socket;
}

Result<void> tell_host(const std::string& host_socket, const std::string& message) {
  std::string context = "cannot notify '" + host_socket + "'";
  TRY_CTX(Address address, address_of(host_socket), context);
  TRY_CTX(sys::Fd socket, datagram_socket(), context);
  if (sendto(socket.get(), message.data(), message.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&address.bytes), address.size) < 0)
    return Error::from_errno(errno, context);
  return {};
}

}  // namespace

Result<void> make_notify_folder(const ContainerDir& dir) {
  // Whoever the container's program is, it must be able to send.
  TRY_VOID_CTX(sys::make_dir_at(dir.fd(), kFolder, 0755), "cannot make the notify socket");
  TRY_VOID_CTX(bind_notify_socket(dir), "cannot make the notify socket");
  return {};
}

Result<sys::Fd> bind_notify_socket(const ContainerDir& dir) {
  TRY(sys::Fd folder, sys::open_at(dir.fd(), kFolder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (unlinkat(folder.get(), kSocket, 0) != 0 && errno != ENOENT)
    return Error::from_errno(errno, "cannot remove the old notify socket");
  // By the folder's descriptor: the path of a state may be longer than an address.
  TRY(Address address, address_of("/proc/self/fd/" + std::to_string(folder.get()) + "/" + kSocket));
  TRY(sys::Fd socket, datagram_socket());
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.bytes), address.size) != 0)
    return Error::from_errno(errno, "cannot bind the notify socket");
  if (fchmodat(folder.get(), kSocket, 0777, 0) != 0)
    return Error::from_errno(errno, "cannot open the notify socket to the container");
  return socket;
}

bool says_ready(std::string_view message) {
  for (std::string_view line : split(message, '\n'))
    if (line == "READY=1") return true;
  return false;
}

Result<void> relay_ready(int socket, int init_pidfd, pid_t init, const std::string& host_socket) {
  for (;;) {
    pollfd events[2] = {{socket, POLLIN, 0}, {init_pidfd, POLLIN, 0}};
    if (poll(events, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "cannot wait for the container's readiness");
    }
    if ((events[0].revents & POLLIN) != 0) {
      char message[kMessageLimit];
      ssize_t size = recv(socket, message, sizeof message, MSG_DONTWAIT);
      if (size > 0 && says_ready({message, static_cast<size_t>(size)}))
        return tell_host(host_socket, "READY=1\nMAINPID=" + std::to_string(init) + "\n");
    } else if (events[1].revents != 0) {
      return {};
    }
  }
}

}  // namespace wherry::ocicli
