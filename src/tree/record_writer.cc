#include <algorithm>
#include <functional>
#include <vector>

#include "sys/sha256.h"
#include "tree/coding.h"
#include "tree/record.h"
#include "tree/record_layout.h"
#include "tree/sequence.h"

namespace wherry::tree {

namespace {

constexpr size_t kBuffer = 64u << 10;

std::string bytes_of(const Digest& digest) {
  std::string bytes;
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < digest.hex().size(); i += 2)
    bytes.push_back(static_cast<char>(value(digest.hex()[i]) << 4 | value(digest.hex()[i + 1])));
  return bytes;
}

void append_sized(std::string& out, std::string_view bytes) {
  append_varint(out, bytes.size());
  out.append(bytes);
}

void append_path(std::string& out, std::string_view before, std::string_view path) {
  const size_t same = static_cast<size_t>(
      std::mismatch(path.begin(), path.end(), before.begin(), before.end()).first - path.begin());
  append_varint(out, same);
  append_sized(out, path.substr(same));
}

void append_content(std::string& out, const Entry& entry) {
  switch (entry.type) {
    case Type::kFile:
      append_varint(out, entry.size);
      if (entry.size > 0)
        out.append(reinterpret_cast<const char*>(entry.object.data()), entry.object.size());
      break;
    case Type::kSymlink:
      append_sized(out, entry.target);
      break;
    case Type::kCharDevice:
    case Type::kBlockDevice:
      append_varint(out, entry.device_major);
      append_varint(out, entry.device_minor);
      break;
    default:
      break;
  }
  if (entry.xattrs.empty()) return;
  append_varint(out, entry.xattrs.size());
  for (const Xattr& xattr : entry.xattrs) {
    append_sized(out, xattr.name);
    append_sized(out, xattr.value);
  }
}

void append_metadata(std::string& out, const Entry& entry, const Before& before, bool same_owner) {
  if (!same_owner) {
    append_varint(out, entry.mode);
    append_varint(out, entry.uid);
    append_varint(out, entry.gid);
  }
  // Unsigned, since the difference of any two times must be told.
  append_varint(out, zigzag(static_cast<int64_t>(static_cast<uint64_t>(entry.mtime_s) -
                                                 static_cast<uint64_t>(before.mtime_s))));
  append_varint(out, entry.mtime_ns);
  append_content(out, entry);
}

}  // namespace

struct RecordWriter::State {
  State(RecordKind kind, Sink to) : sink(std::move(to)), sequence(kind) {
    buffer.append(kRecordMagic);
    buffer.push_back(static_cast<char>(kRecordVersion));
    buffer.push_back(static_cast<char>(kind));
    buffer.resize(kRecordHeader);
  }

  void append(const Entry& entry);
  void append_plain(const Entry& entry, uint8_t tag);
  bool append_shared(const Entry& entry, uint8_t tag);
  Result<void> flush();

  Sink sink;
  Sequence sequence;
  std::string path;  // of the entry before
  Before before;
  std::vector<size_t> shared;  // a hash of what each inode with several names is
  std::string buffer;
  sys::Sha256 hash;
};

RecordWriter::RecordWriter(RecordKind kind, Sink sink)
    : state_(std::make_unique<State>(kind, std::move(sink))) {}
RecordWriter::~RecordWriter() = default;

Result<void> RecordWriter::State::flush() {
  hash.update(buffer);
  TRY_VOID(sink(buffer));
  buffer.clear();
  return {};
}

void RecordWriter::State::append_plain(const Entry& entry, uint8_t tag) {
  const bool same_owner =
      entry.mode == before.mode && entry.uid == before.uid && entry.gid == before.gid;
  if (same_owner) tag |= kTagSameOwner;
  buffer.push_back(static_cast<char>(tag));
  append_path(buffer, path, entry.path);
  append_metadata(buffer, entry, before, same_owner);
  before = {entry.mode, entry.uid, entry.gid, entry.mtime_s};
}

// Inodes with several names are told against nothing, so that a reader can go back to the first.
// False: a later name says something else than the first.
bool RecordWriter::State::append_shared(const Entry& entry, uint8_t tag) {
  std::string metadata(1, static_cast<char>(tag));
  append_metadata(metadata, entry, Before(), false);
  const size_t hashed = std::hash<std::string>()(metadata);
  if (entry.inode <= shared.size()) {
    buffer.push_back(static_cast<char>(kTagLink));
    append_path(buffer, path, entry.path);
    append_varint(buffer, entry.inode);
    return shared[entry.inode - 1] == hashed;
  }
  shared.push_back(hashed);
  buffer.push_back(static_cast<char>(tag | kTagShared));
  append_path(buffer, path, entry.path);
  buffer.append(metadata, 1, metadata.npos);  // without the tag
  return true;
}

Result<void> RecordWriter::add(const Entry& entry) {
  State& s = *state_;
  const auto refused = [&entry](ErrorKind kind, std::string_view why) {
    return Error(kind, quoted_path(entry.path) + " " + std::string(why));
  };
  if (const Sequence::Problem problem = s.sequence.next(entry))
    return refused(problem.limit ? ErrorKind::kResourceExhausted : ErrorKind::kInternal,
                   problem.text);
  const auto tag = static_cast<uint8_t>(entry.type);
  if (entry.type == Type::kWhiteout) {
    s.buffer.push_back(static_cast<char>(tag));
    append_path(s.buffer, s.path, entry.path);
  } else {
    const uint8_t flags = (entry.opaque ? kTagOpaque : 0) | (entry.xattrs.empty() ? 0 : kTagXattrs);
    if (entry.inode == 0)
      s.append_plain(entry, tag | flags);
    else if (!s.append_shared(entry, tag | flags))
      return refused(ErrorKind::kInternal, "differs from another name of the same inode");
  }
  s.path.assign(entry.path);
  if (s.buffer.size() >= kBuffer) TRY_VOID(s.flush());
  return {};
}

Result<RecordWriter::Summary> RecordWriter::finish() {
  State& s = *state_;
  if (const Sequence::Problem problem = s.sequence.end())
    return Error(ErrorKind::kInternal, "the tree " + std::string(problem.text));
  s.buffer.push_back(static_cast<char>(kTagEnd));
  append_fixed<uint64_t>(s.buffer, s.sequence.entries());
  append_fixed<uint64_t>(s.buffer, s.sequence.files_size());
  append_fixed<uint32_t>(s.buffer, s.sequence.inodes());
  TRY_VOID(s.flush());
  const Digest digest = s.hash.finish();
  TRY_VOID(s.sink(bytes_of(digest)));
  return Summary{digest, s.sequence.entries(), s.sequence.files_size()};
}

}  // namespace wherry::tree
