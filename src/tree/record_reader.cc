#include <algorithm>
#include <vector>

#include "base/text.h"
#include "sys/sha256.h"
#include "tree/coding.h"
#include "tree/record.h"
#include "tree/record_layout.h"
#include "tree/sequence.h"

namespace wherry::tree {

namespace {

constexpr uint64_t kAny = ~uint64_t{0};

// Where an inode with several names is told.
struct First {
  uint64_t at : 56;
  uint64_t tag : 8;
};

Error corrupt(std::string_view why) {
  return Error(ErrorKind::kCorrupt, "the record " + std::string(why));
}

}  // namespace

struct RecordReader::State {
  State(std::string_view record, RecordKind of)
      : bytes(record), kind(of), sequence(of), cursor(entries_part(), kRecordHeader) {}

  std::string_view entries_part() const { return bytes.substr(0, bytes.size() - kRecordTrailer); }
  const char* trailer() const { return bytes.data() + bytes.size() - kRecordTrailer; }
  uint64_t entries() const { return load_fixed<uint64_t>(trailer() + 1); }
  uint64_t files_size() const { return load_fixed<uint64_t>(trailer() + 9); }
  uint32_t inodes() const { return load_fixed<uint32_t>(trailer() + 17); }
  Digest digest() const;

  Result<const Entry*> next();
  Result<const Entry*> end();
  std::string_view decode();
  std::string_view decode_path();
  std::string_view decode_link();
  void decode_metadata(Cursor& from, uint8_t tag, const Before& against);
  void decode_content(Cursor& from, uint8_t tag);

  std::string_view bytes;
  RecordKind kind;
  Sequence sequence;
  Cursor cursor;
  std::string path;
  Entry entry;
  Before before;
  std::vector<First> shared;  // inodes with several names
  bool verified = false;      // the checksum was compared once
  std::unique_ptr<Error> failure;
};

Result<RecordReader> RecordReader::open(std::string_view bytes, RecordKind kind,
                                        uint64_t max_entries) {
  if (bytes.size() < kRecordHeader + kRecordTrailer || !bytes.starts_with(kRecordMagic))
    return Error(ErrorKind::kCorrupt, "the bytes are no record of a file system");
  if (static_cast<uint8_t>(bytes[8]) != kRecordVersion)
    return Error(ErrorKind::kUnsupported,
                 "the record has version " + std::to_string(static_cast<uint8_t>(bytes[8])) +
                     ", this program knows " + std::to_string(kRecordVersion))
        .set_hint("use the release of wherry that wrote it, or a newer one");
  if (static_cast<uint8_t>(bytes[9]) != static_cast<uint8_t>(kind))
    return corrupt(kind == RecordKind::kLayer ? "is not that of a layer" : "is not that of a tree");
  if (bytes.substr(10, kRecordHeader - 10) != std::string_view("\0\0\0\0\0\0", 6))
    return corrupt("has an invalid header");
  auto state = std::make_unique<State>(bytes, kind);
  if (state->trailer()[0] != static_cast<char>(kTagEnd)) return corrupt("is cut short");
  if (state->entries() > max_entries)
    return Error(ErrorKind::kResourceExhausted,
                 "the record has " + std::to_string(state->entries()) + " entries, more than the " +
                     std::to_string(max_entries) + " allowed");
  return RecordReader(std::move(state));
}

RecordReader::RecordReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecordReader::RecordReader(RecordReader&&) noexcept = default;
RecordReader& RecordReader::operator=(RecordReader&&) noexcept = default;
RecordReader::~RecordReader() = default;

uint64_t RecordReader::entries() const {
  return state_->entries();
}
uint64_t RecordReader::files_size() const {
  return state_->files_size();
}
uint32_t RecordReader::inodes() const {
  return state_->inodes();
}
Digest RecordReader::digest() const {
  return state_->digest();
}

void RecordReader::rewind() {
  State& s = *state_;
  s.sequence = Sequence(s.kind);
  s.cursor = Cursor(s.entries_part(), kRecordHeader);
  s.path.clear();
  s.before = {};
  s.shared.clear();
  s.failure.reset();
}

Result<const Entry*> RecordReader::next() {
  if (state_->failure) return Error(*state_->failure);
  Result<const Entry*> entry = state_->next();
  if (!entry) state_->failure = std::make_unique<Error>(entry.error());
  return entry;
}

Digest RecordReader::State::digest() const {
  const auto* at =
      reinterpret_cast<const unsigned char*>(trailer()) + kRecordTrailer - kRecordDigest;
  return *Digest::from_hex(to_hex({at, kRecordDigest}));
}

Result<const Entry*> RecordReader::State::next() {
  if (cursor.at() == entries_part().size()) return end();
  const std::string_view wrong = decode();
  if (!wrong.empty()) return corrupt(wrong);
  if (!cursor.good()) return corrupt("has an invalid entry");
  entry.path = path;
  if (const Sequence::Problem problem = sequence.next(entry))
    return Error(problem.limit ? ErrorKind::kResourceExhausted : ErrorKind::kCorrupt,
                 quoted_path(path) + " of the record " + std::string(problem.text));
  if (sequence.entries() > entries() || sequence.inodes() > inodes())
    return corrupt("has more entries than it says");
  return &entry;
}

Result<const Entry*> RecordReader::State::end() {
  if (const Sequence::Problem problem = sequence.end()) return corrupt(problem.text);
  if (sequence.entries() != entries() || sequence.inodes() != inodes() ||
      sequence.files_size() != files_size())
    return corrupt("has not what it says at its end");
  if (!verified && sys::sha256(bytes.substr(0, bytes.size() - kRecordDigest)) != digest())
    return corrupt("has another checksum than its bytes");
  verified = true;
  return nullptr;
}

// What is wrong beyond what the cursor knows; empty: nothing.
std::string_view RecordReader::State::decode() {
  const uint8_t tag = cursor.byte();
  const uint8_t code = tag & kTagType;
  if (const std::string_view wrong = decode_path(); !wrong.empty()) return wrong;
  if (code == kTagLink) return tag == kTagLink ? decode_link() : "has a link with flags";
  if (code < static_cast<uint8_t>(Type::kDirectory) || code > static_cast<uint8_t>(Type::kWhiteout))
    return "has an entry of no known type";
  entry = Entry{.type = static_cast<Type>(code), .xattrs = std::move(entry.xattrs)};
  entry.xattrs.clear();
  if (entry.type == Type::kWhiteout) return tag == code ? "" : "has a whiteout with flags";
  entry.opaque = (tag & kTagOpaque) != 0;
  if (tag & kTagShared) {
    if (tag & kTagSameOwner) return "has an inode of several names told against another";
    shared.push_back({cursor.at(), tag});
    entry.inode = static_cast<uint32_t>(shared.size());
    decode_metadata(cursor, tag, Before());
    return "";
  }
  decode_metadata(cursor, tag, before);
  const bool same = entry.mode == before.mode && entry.uid == before.uid && entry.gid == before.gid;
  if (same != ((tag & kTagSameOwner) != 0)) return "repeats an owner";
  before = {entry.mode, entry.uid, entry.gid, entry.mtime_s};
  return "";
}

std::string_view RecordReader::State::decode_path() {
  const size_t same = cursor.varint(path.size());
  const std::string_view rest = cursor.take(cursor.varint(kMaxPath));
  if (!cursor.good()) return "has an invalid entry";
  if (same < path.size() && !rest.empty() && rest[0] == path[same]) return "repeats part of a path";
  path.resize(same);
  path.append(rest);
  return "";
}

std::string_view RecordReader::State::decode_link() {
  const uint64_t inode = cursor.varint(shared.size());
  if (!cursor.good() || inode == 0) return "has a link to nothing before it";
  const First& told = shared[inode - 1];
  const auto tag = static_cast<uint8_t>(told.tag);
  Cursor first(entries_part(), told.at);
  entry = Entry{.type = static_cast<Type>(tag & kTagType), .xattrs = std::move(entry.xattrs)};
  entry.xattrs.clear();
  entry.inode = static_cast<uint32_t>(inode);
  decode_metadata(first, tag, Before());
  return "";
}

void RecordReader::State::decode_metadata(Cursor& from, uint8_t tag, const Before& against) {
  if (tag & kTagSameOwner) {
    entry.mode = against.mode;
    entry.uid = against.uid;
    entry.gid = against.gid;
  } else {
    entry.mode = static_cast<uint16_t>(from.varint(UINT16_MAX));
    entry.uid = static_cast<uint32_t>(from.varint(UINT32_MAX));
    entry.gid = static_cast<uint32_t>(from.varint(UINT32_MAX));
  }
  entry.mtime_s = static_cast<int64_t>(static_cast<uint64_t>(against.mtime_s) +
                                       static_cast<uint64_t>(unzigzag(from.varint(kAny))));
  entry.mtime_ns = static_cast<uint32_t>(from.varint(UINT32_MAX));
  decode_content(from, tag);
}

void RecordReader::State::decode_content(Cursor& from, uint8_t tag) {
  if (entry.type == Type::kFile) {
    entry.size = from.varint(kAny);
    const std::string_view object = entry.size > 0 ? from.take(entry.object.size()) : "";
    std::copy(object.begin(), object.end(), entry.object.begin());
  } else if (entry.type == Type::kSymlink) {
    entry.target = from.take(from.varint(kAny));
  } else if (entry.type == Type::kCharDevice || entry.type == Type::kBlockDevice) {
    entry.device_major = static_cast<uint32_t>(from.varint(UINT32_MAX));
    entry.device_minor = static_cast<uint32_t>(from.varint(UINT32_MAX));
  }
  if (!(tag & kTagXattrs)) return;
  const uint64_t count = from.varint(kMaxXattrs);
  if (count == 0) from.fail();
  for (uint64_t i = 0; i < count && from.good(); ++i) {
    const std::string_view name = from.take(from.varint(kMaxXattrName));
    const std::string_view value = from.take(from.varint(kAny));
    entry.xattrs.push_back({name, value});
  }
}

}  // namespace wherry::tree
