#include "runtime/bundle_sockets.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "sys/fd_message.h"

namespace wherry::runtime {
namespace {

constexpr const char* kStartSocket = "start.sock";

// An address for `name` in an opened directory, whatever the length of the directory's path.
sockaddr_un address_in(int directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<sys::Fd> connect_in(int directory, const std::string& name, int type) {
  sys::Fd connection(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!connection) return Error::from_errno(errno, "cannot make a socket");
  const sockaddr_un address = address_in(directory, name);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Error::from_errno(errno, "cannot connect to '" + name + "'");
  return connection;
}

}  // namespace

Result<sys::Fd> make_start_socket(const std::string& state_dir) {
  const std::string context = "cannot make '" + state_dir + "/" + kStartSocket + "'";
  TRY_CTX(sys::Fd directory, sys::open_file(state_dir, O_RDONLY | O_DIRECTORY), context);
  sys::Fd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!listener) return Error::from_errno(errno, context);
  const sockaddr_un address = address_in(directory.get(), kStartSocket);
  // The mode of a bound socket is that of its inode before the bind.
  if (fchmod(listener.get(), 0600) != 0 ||
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener.get(), 4) != 0)
    return Error::from_errno(errno, context);
  return listener;
}

Result<sys::Fd> connect_start_socket(const std::string& state_dir) {
  TRY(sys::Fd directory, sys::open_file(state_dir, O_RDONLY | O_DIRECTORY));
  Result<sys::Fd> connection = connect_in(directory.get(), kStartSocket, SOCK_SEQPACKET);
  if (!connection &&
      (connection.error().errnum() == ENOENT || connection.error().errnum() == ECONNREFUSED))
    return Error(ErrorKind::kConflict, "the container does not wait for its start")
        .set_errnum(connection.error().errnum());
  return connection;
}

void remove_start_socket(const std::string& state_dir) {
  unlink((state_dir + "/" + kStartSocket).c_str());
}

Result<void> send_fd_to(const std::string& path, int fd, const std::string& text) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "the socket's path '" + path + "' must be absolute");
  const std::string context = "cannot pass a file descriptor to '" + path + "'";
  TRY_CTX(sys::Fd directory, sys::open_file(path.substr(0, slash + 1), O_PATH | O_DIRECTORY),
          context);
  TRY_CTX(sys::Fd connection, connect_in(directory.get(), path.substr(slash + 1), SOCK_STREAM),
          context);
  TRY_CTX(const size_t done, sys::send_with_fd(connection.get(), text, fd), context);
  // A long text may not fit into the socket at once; the fd went with its first byte.
  if (done < text.size())
    TRY_VOID_CTX(sys::write_all(connection.get(), std::string_view(text).substr(done)), context);
  return {};
}

}  // namespace wherry::runtime
