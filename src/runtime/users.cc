#include "runtime/users.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "base/weaken.h"
#include "sys/fd.h"

namespace wherry::runtime {
namespace {

constexpr uint64_t kHighestId = 0x7fffffff;
constexpr size_t kFileLimit = 1 << 20;

struct PasswdEntry {
  std::string_view name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string_view home;
};

struct GroupEntry {
  std::string_view name;
  uint32_t gid = 0;
  std::string_view members;  // comma-separated
};

std::optional<uint32_t> parse_id(std::string_view text) {
  std::optional<uint64_t> id = parse_u64(text);
  if (!id || *id > kHighestId) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<PasswdEntry> parse_passwd_line(std::string_view line) {
  std::vector<std::string_view> fields = split(line, ':');
  if (fields.size() < 6 || fields[0].empty()) return std::nullopt;
  std::optional<uint32_t> uid = parse_id(fields[2]);
  std::optional<uint32_t> gid = parse_id(fields[3]);
  if (!uid || !gid) return std::nullopt;
  return PasswdEntry{fields[0], *uid, *gid, fields[5]};
}

std::optional<GroupEntry> parse_group_line(std::string_view line) {
  std::vector<std::string_view> fields = split(line, ':');
  if (fields.size() < 3 || fields[0].empty()) return std::nullopt;
  std::optional<uint32_t> gid = parse_id(fields[2]);
  if (!gid) return std::nullopt;
  return GroupEntry{fields[0], *gid, fields.size() > 3 ? fields[3] : std::string_view()};
}

// The first line that parses and that `wanted` accepts.
template <typename Entry, typename Wanted>
std::optional<Entry> find_entry(std::string_view file,
                                std::optional<Entry> (*parse)(std::string_view), Wanted wanted) {
  while (!file.empty()) {
    size_t end = file.find('\n');
    std::optional<Entry> entry = parse(trim(file.substr(0, end)));
    if (entry && wanted(*entry)) return entry;
    if (end == std::string_view::npos) break;
    file.remove_prefix(end + 1);
  }
  return std::nullopt;
}

Error out_of_range(std::string_view what) {
  return Error(
      ErrorKind::kInvalidArgument,
      "user and group ids must be in the range 0-2147483647, not '" + std::string(what) + "'");
}

Result<uint32_t> resolve_group(std::string_view word, std::string_view group) {
  if (is_number(word)) {
    std::optional<uint32_t> gid = parse_id(word);
    if (!gid) return out_of_range(word);
    return *gid;
  }
  auto entry = find_entry<GroupEntry>(group, parse_group_line,
                                      [&](const GroupEntry& e) { return e.name == word; });
  if (!entry)
    return Error(ErrorKind::kInvalidArgument, "unable to find group " + std::string(word) +
                                                  ": no matching entries in group file");
  return entry->gid;
}

std::vector<uint32_t> memberships(std::string_view name, std::string_view group) {
  std::vector<uint32_t> gids;
  find_entry<GroupEntry>(group, parse_group_line, [&](const GroupEntry& entry) {
    std::vector<std::string_view> members = split(entry.members, ',');
    if (std::ranges::find(members, name) != members.end()) gids.push_back(entry.gid);
    return false;  // all of them
  });
  return gids;
}

// The text of an account file; foreign, so never a FIFO or a device, and bounded.
Result<std::string> read_account_file(int root, const std::string& name) {
  Result<sys::Fd> fd = sys::open_in_root(root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    if (fd.error().errnum() == ENOENT || fd.error().errnum() == ENOTDIR) return std::string();
    return fail(std::move(fd), "cannot look up users");
  }
  struct stat status{};
  if (fstat(fd->get(), &status) != 0)
    return Error::from_errno(errno, "cannot look up users in '" + name + "'");
  if (!S_ISREG(status.st_mode) && !weakened(Defence::kAccountFiles))
    return Error(ErrorKind::kInvalidArgument,
                 "cannot look up users: '/" + name + "' is not a regular file");
  const size_t limit = weakened(Defence::kAccountSize) ? SIZE_MAX : kFileLimit;
  TRY_CTX(std::string text, sys::read_all(fd->get(), limit),
          "cannot look up users in '/" + name + "'");
  return text;
}

}  // namespace

Result<ResolvedUser> resolve_user(std::string_view words, std::string_view passwd,
                                  std::string_view group) {
  auto [user, group_word] = split_once(words, ':');
  if (user.empty() || (group_word && group_word->empty()))
    return Error(ErrorKind::kInvalidArgument,
                 "invalid user '" + std::string(words) + "': expected user[:group]");
  ResolvedUser resolved;
  std::optional<PasswdEntry> entry;
  const auto by_name = [&](const PasswdEntry& e) { return e.name == user; };
  const bool name_first = weakened(Defence::kNumericUser) &&
                          find_entry<PasswdEntry>(passwd, parse_passwd_line, by_name);
  if (is_number(user) && !name_first) {
    std::optional<uint32_t> uid = parse_id(user);
    if (!uid) return out_of_range(user);
    resolved.uid = *uid;
    entry = find_entry<PasswdEntry>(passwd, parse_passwd_line,
                                    [&](const PasswdEntry& e) { return e.uid == *uid; });
  } else {
    entry = find_entry<PasswdEntry>(passwd, parse_passwd_line, by_name);
    if (!entry)
      return Error(ErrorKind::kInvalidArgument, "unable to find user " + std::string(user) +
                                                    ": no matching entries in passwd file");
    resolved.uid = entry->uid;
  }
  if (entry) {
    resolved.gid = entry->gid;
    if (!entry->home.empty()) resolved.home = entry->home;
  }
  if (group_word) {
    TRY(resolved.gid, resolve_group(*group_word, group));
  }
  resolved.groups.push_back(resolved.gid);
  if (entry && !group_word)
    for (uint32_t gid : memberships(entry->name, group))
      if (std::ranges::find(resolved.groups, gid) == resolved.groups.end())
        resolved.groups.push_back(gid);
  return resolved;
}

Result<ResolvedUser> lookup_user(int root, std::string_view words) {
  TRY(std::string passwd, read_account_file(root, "etc/passwd"));
  TRY(std::string group, read_account_file(root, "etc/group"));
  return resolve_user(words, passwd, group);
}

std::string home_of(int root, uint32_t uid) {
  const Result<std::string> passwd = read_account_file(root, "etc/passwd");
  if (!passwd) return "/";
  const auto entry = find_entry<PasswdEntry>(*passwd, parse_passwd_line,
                                             [&](const PasswdEntry& e) { return e.uid == uid; });
  return entry && !entry->home.empty() ? std::string(entry->home) : "/";
}

}  // namespace wherry::runtime
