#include "tree/sequence.h"

#include <algorithm>

namespace wherry::tree {

namespace {

using Problem = Sequence::Problem;

// Sums of sizes stay far from overflow.
constexpr uint64_t kMaxFilesSize = uint64_t{1} << 62;
constexpr uint32_t kNobody = 0xffffffff;  // chown(2) and user namespaces know no such id
constexpr uint32_t kMaxMajor = (1u << 12) - 1, kMaxMinor = (1u << 20) - 1;

bool is_single_name(std::string_view name) {
  return !name.empty() && name != "." && name != "..";
}

Problem check_xattrs(const Entry& entry) {
  if (entry.xattrs.size() > kMaxXattrs) return {"has too many extended attributes", true};
  size_t total = 0;
  std::string_view last;
  for (const Xattr& xattr : entry.xattrs) {
    if (!is_xattr_kept(entry.type, xattr.name))
      return {"has an extended attribute that no record may have"};
    if (xattr.name <= last) return {"has extended attributes out of order"};
    if (xattr.value.size() > kMaxXattrBytes) return {"has an extended attribute too long", true};
    total += xattr.name.size() + xattr.value.size();
    last = xattr.name;
  }
  if (total > kMaxXattrsBytes) return {"has too many bytes of extended attributes", true};
  return {};
}

}  // namespace

Problem Sequence::next(const Entry& entry) {
  if (Problem problem = check_path(entry.path)) return problem;
  if (Problem problem = check_place(entry)) return problem;
  if (Problem problem = check_kind(entry)) return problem;
  if (entry.type != Type::kWhiteout) {
    if (Problem problem = check_content(entry)) return problem;
    if (Problem problem = check_xattrs(entry)) return problem;
  }
  const uint32_t before = inodes();
  if (Problem problem = check_inode(entry)) return problem;
  ++entries_;
  if (entry.type == Type::kFile && (entry.inode == 0 || entry.inode > before)) {
    files_size_ += entry.size;
    if (files_size_ > kMaxFilesSize) return {"makes the files' sizes too much", true};
  }
  return {};
}

Problem Sequence::end() const {
  if (kind_ == RecordKind::kTree && entries_ == 0) return {"has no root"};
  if (kind_ == RecordKind::kTree && std::ranges::find(several_, false) != several_.end())
    return {"has an inode number with one name"};
  return {};
}

// Bytes and names; what is the same as in the path before has been seen.
Problem Sequence::check_path(std::string_view path) {
  if (path.size() > kMaxPath) return {"has too long a path", true};
  if (path.empty()) return {};
  const size_t same = static_cast<size_t>(
      std::mismatch(path.begin(), path.end(), path_.begin(), path_.end()).first - path.begin());
  if (path.find('\0', same) != path.npos) return {"has a zero byte in its path"};
  size_t start = same == 0 ? 0 : path.rfind('/', same - 1) + 1;  // npos + 1 is 0
  while (true) {
    const size_t slash = std::min(path.find('/', start), path.size());
    const std::string_view name = path.substr(start, slash - start);
    if (!is_single_name(name)) return {"has an empty, '.' or '..' name in its path"};
    if (name.size() > kMaxName) return {"has too long a name", true};
    if (slash == path.size()) return {};
    start = slash + 1;
  }
}

// Its order, and what is above it.
Problem Sequence::check_place(const Entry& entry) {
  const std::string_view path = entry.path;
  if (entries_ > 0 && compare_paths(path_, path) >= 0) return {"is out of order"};
  const auto is_above = [path](const Above& above) {
    return above.length == 0 || (path.size() > above.length && path[above.length] == '/');
  };
  const size_t same = static_cast<size_t>(
      std::mismatch(path.begin(), path.end(), path_.begin(), path_.end()).first - path.begin());
  while (!above_.empty() && (above_.back().length > same || !is_above(above_.back())))
    above_.pop_back();
  if (!above_.empty() && !above_.back().directory) return {"is below what is no directory"};
  if (kind_ == RecordKind::kTree && !path.empty()) {
    const size_t slash = path.rfind('/');
    if (above_.empty() || above_.back().length != (slash == path.npos ? 0 : slash))
      return {"has no directory above it"};
  }
  path_.assign(path);
  above_.push_back({path.size(), entry.type == Type::kDirectory});
  return {};
}

Problem Sequence::check_kind(const Entry& entry) const {
  if (entry.path.empty() && entry.type != Type::kDirectory) return {"is no directory"};
  if (kind_ == RecordKind::kTree && (entry.opaque || entry.type == Type::kWhiteout))
    return {"hides something, which only layers can"};
  if (entry.opaque && entry.type != Type::kDirectory) return {"is opaque but no directory"};
  if (entry.type < Type::kDirectory || entry.type > Type::kWhiteout) return {"has no type"};
  return {};
}

Problem Sequence::check_content(const Entry& entry) const {
  if (entry.mode > 07777) return {"has an invalid mode"};
  if (entry.uid == kNobody || entry.gid == kNobody) return {"has an invalid owner"};
  if (entry.mtime_ns >= 1'000'000'000) return {"has an invalid time"};
  switch (entry.type) {
    case Type::kFile:
      if (entry.size > kMaxFileSize) return {"is too large", true};
      return {};
    case Type::kSymlink:
      if (entry.target.size() > kMaxTarget) return {"has too long a target", true};
      if (entry.target.empty() || entry.target.find('\0') != entry.target.npos)
        return {"has an invalid target"};
      return {};
    case Type::kCharDevice:
    case Type::kBlockDevice:
      if (entry.device_major > kMaxMajor || entry.device_minor > kMaxMinor)
        return {"has an invalid device number"};
      // Overlay takes it for a whiteout.
      if (entry.type == Type::kCharDevice && entry.device_major == 0 && entry.device_minor == 0)
        return {"is the device 0:0"};
      return {};
    default:
      return {};
  }
}

Problem Sequence::check_inode(const Entry& entry) {
  if (entry.inode == 0) return {};
  if (entry.type == Type::kDirectory || entry.type == Type::kWhiteout)
    return {"cannot have several names"};
  if (entry.inode > several_.size() + 1) return {"has an inode number out of order"};
  if (entry.inode == several_.size() + 1)
    several_.push_back(false);
  else
    several_[entry.inode - 1] = true;
  return {};
}

std::string quoted_path(std::string_view path) {
  return path.empty() ? "the root" : "'" + std::string(path) + "'";
}

}  // namespace wherry::tree
