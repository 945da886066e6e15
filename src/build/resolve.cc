#include "build/resolve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::build {
namespace {

// As the kernel's own (path_resolution(7)).
constexpr int kMaxLinks = 40;
constexpr size_t kMaxParts = 4096;

Result<std::string> read_link(int link) {
  std::string target(PATH_MAX, '\0');
  ssize_t size = readlinkat(link, "", target.data(), target.size());
  if (size < 0) return Error::from_errno(errno, "cannot read a link");
  target.resize(static_cast<size_t>(size));
  return target;
}

// Puts the parts of `target` in front of what is left to walk (a stack: the next part is last).
Result<void> push_front(std::vector<std::string>& left, std::string_view target) {
  std::vector<std::string> parts = path_parts(target);
  if (left.size() + parts.size() > kMaxParts)
    return Error::from_errno(ENAMETOOLONG, "cannot follow a link");
  left.insert(left.end(), parts.rbegin(), parts.rend());
  return {};
}

// What stands at a path without links; mode 0: nothing.
struct Place {
  sys::Fd fd;
  mode_t mode = 0;
};
Result<Place> look(int root, const std::string& path) {
  Result<sys::Fd> fd = sys::open_without_links(root, path, O_PATH | O_NOFOLLOW);
  if (!fd && fd.error().errnum() == ENOENT) return Place{};
  if (!fd) return std::move(fd.error());
  struct stat status{};
  if (fstat(fd->get(), &status) != 0) return Error::from_errno(errno, "cannot look at a file");
  return Place{std::move(*fd), status.st_mode};
}

std::string joined(const std::vector<std::string>& parts) {
  return join(parts, "/");
}

// The rest of a path behind a part that is not there.
Resolved missing(std::vector<std::string> done, const std::vector<std::string>& left) {
  for (auto part = left.rbegin(); part != left.rend(); ++part) {
    if (*part != "..") {
      done.push_back(*part);
    } else if (!done.empty()) {
      done.pop_back();
    }
  }
  return {joined(done), false};
}

}  // namespace

std::vector<std::string> path_parts(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string_view part : split(path, '/'))
    if (!part.empty() && part != ".") parts.emplace_back(part);
  return parts;
}

std::string join_path(std::string_view parent, std::string_view name) {
  std::string path(parent);
  if (!parent.empty() && !name.empty()) path += '/';
  return path += name;
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string escape_name(std::string_view name) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(name.size());
  for (char c : name) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\') {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text;
}

Result<Resolved> resolve_links(int root, std::string_view path) {
  std::vector<std::string> done, left = path_parts(path);
  std::ranges::reverse(left);
  int links = 0;
  while (!left.empty()) {
    std::string part = std::move(left.back());
    left.pop_back();
    if (part == "..") {
      if (!done.empty()) done.pop_back();
      continue;
    }
    done.push_back(std::move(part));
    TRY(Place place, look(root, joined(done)));
    if (place.mode == 0) return missing(std::move(done), left);
    if (!S_ISLNK(place.mode)) continue;
    if (++links > kMaxLinks) return Error::from_errno(ELOOP, "cannot follow a link");
    TRY(std::string target, read_link(place.fd.get()));
    done.pop_back();
    if (target.starts_with('/')) done.clear();
    TRY_VOID(push_front(left, target));
  }
  return Resolved{joined(done), true};
}

}  // namespace wherry::build
