#include "archive/tar_reader.h"

#include <algorithm>

#include "archive/tar_field.h"
#include "archive/tar_header.h"

namespace wherry::archive {
namespace {

// Writers pad to a record, 10 KiB by custom; this is far beyond, and ends a bomb of zeros.
constexpr uint64_t kMaxTail = 256u << 20;
// No writer needs more than a PAX header, a global one and two GNU names.
constexpr int kMaxExtensions = 16;
constexpr uint64_t kMinSkip = 1u << 20;

Error not_a_tar() {
  return Error(ErrorKind::kCorrupt, "not a tar archive");
}

bool is_zero(std::string_view block) {
  return block.find_first_not_of('\0') == block.npos;
}

enum class Flavour { kV7, kUstar, kGnu, kStar };

Flavour flavour_of(std::string_view header) {
  std::string_view magic = field_bytes(header, tar_field::kMagic);
  if (magic == std::string_view("ustar  \0", 8)) return Flavour::kGnu;
  if (!magic.starts_with(std::string_view("ustar\0", 6))) return Flavour::kV7;
  if (field_bytes(header, tar_field::kStarMark) == std::string_view("tar\0", 4))
    return Flavour::kStar;
  return Flavour::kUstar;
}

std::string joined(std::string_view prefix, std::string_view name) {
  if (prefix.empty()) return std::string(name);
  std::string path(prefix);
  path += '/';
  path += name;
  return path;
}

bool has_data(char type) {
  return type == '0' || type == 'S';
}

}  // namespace

Error TarReader::damaged(std::string_view why) const {
  return Error(ErrorKind::kCorrupt, "damaged archive at offset " + std::to_string(header_offset_) +
                                        ": " + std::string(why));
}

Error TarReader::truncated() const {
  if (!seen_header_) return not_a_tar();
  return Error(ErrorKind::kCorrupt,
               "truncated archive: no end mark after " + std::to_string(pulled_) + " bytes");
}

Error TarReader::in_header(Error error) const {
  return std::move(error).wrap("damaged archive at offset " + std::to_string(header_offset_));
}

// More bytes into rest_, unless there are none.
Result<void> TarReader::pull() {
  if (ended_ || !rest_.empty()) return {};
  Result<std::string_view> bytes = source_();
  if (!bytes) {
    Error error = std::move(bytes.error());
    if (error.kind() == ErrorKind::kCorrupt)
      return std::move(error).wrap("damaged archive at offset " + std::to_string(pulled_));
    return error;
  }
  rest_ = *bytes;
  ended_ = rest_.empty();
  hash_.update(rest_);
  pulled_ += rest_.size();
  return {};
}

Result<void> TarReader::pass_on(std::string_view bytes) {
  if (!raw_) return {};
  return raw_(bytes);
}

// What is at hand, at least one byte; none at the end.
Result<std::string_view> TarReader::take(size_t at_most) {
  TRY_VOID(pull());
  std::string_view bytes = rest_.substr(0, at_most);
  rest_.remove_prefix(bytes.size());
  return bytes;
}

// A whole block, or none when the archive ends here or within it.
Result<std::string_view> TarReader::take_block() {
  TRY(std::string_view block, take(kTarBlock));
  if (block.size() < kTarBlock) {
    split_block_ = block;
    while (split_block_.size() < kTarBlock) {
      TRY(std::string_view more, take(kTarBlock - split_block_.size()));
      if (more.empty()) return std::string_view();
      split_block_ += more;
    }
    block = split_block_;
  }
  TRY_VOID(pass_on(block));
  return block;
}

Result<void> TarReader::skip(uint64_t size) {
  while (size > 0) {
    if (skip_ && rest_.empty() && size >= kMinSkip) {
      TRY_VOID(skip_(size));
      pulled_ += size;
      return {};
    }
    TRY(std::string_view bytes, take(std::min<uint64_t>(size, SIZE_MAX)));
    if (bytes.empty()) return truncated();
    TRY_VOID(pass_on(bytes));
    size -= bytes.size();
  }
  return {};
}

// After a block of zeros: another one, or nothing at all.
Result<bool> TarReader::take_end_mark() {
  TRY(std::string_view second, take_block());
  if (second.empty() && split_block_.empty()) return true;
  if (second.empty() || !is_zero(second)) return damaged("a single block of zeros");
  return true;
}

Result<int64_t> TarReader::number(std::string_view header, std::pair<size_t, size_t> field,
                                  const char* what) const {
  std::optional<int64_t> value = parse_tar_number(header.substr(field.first, field.second));
  if (!value) return damaged("its " + std::string(what) + " is no number");
  return *value;
}

Result<std::string> TarReader::read_extension(uint64_t size) {
  if (size > kMaxExtension)
    return in_header(
        Error(ErrorKind::kResourceExhausted, "an extended header is larger than 1 MiB"));
  std::string data;
  while (data.size() < size) {
    TRY(std::string_view bytes, take(size - data.size()));
    if (bytes.empty()) return truncated();
    TRY_VOID(pass_on(bytes));
    data += bytes;
  }
  TRY_VOID(skip(tar_padding(size)));
  return data;
}

// Whether the header was one of those that only say something of the next one.
Result<bool> TarReader::take_extension(std::string_view header, uint64_t size,
                                       Extensions& extensions) {
  char type = header[tar_field::kType];
  if (std::string_view("xXgLKV").find(type) == std::string_view::npos) return false;
  if (++extensions.headers > kMaxExtensions) return damaged("too many extended headers in a row");
  if (type == 'V') {  // the volume's label
    TRY_VOID(skip(size + tar_padding(size)));
    return true;
  }
  TRY(std::string data, read_extension(size));
  if (type != 'g') extensions.awaits_entry = true;
  if (type == 'L' || type == 'K') {
    auto& name = type == 'L' ? extensions.gnu_path : extensions.gnu_link;
    name = data.substr(0, data.find('\0'));
    return true;
  }
  if (type == 'g') {
    Result<void> parsed = parse_global_pax(data, global_);
    if (!parsed) return in_header(std::move(parsed.error()));
    return true;
  }
  // Of two in a row the later one counts, as for other engines.
  extensions.pax = PaxRecords();
  Result<void> parsed = parse_pax(data, extensions.pax);
  if (!parsed) return in_header(std::move(parsed.error()));
  return true;
}

Result<const TarMember*> TarReader::next() {
  TRY_VOID(skip(data_left_ + padding_));
  data_left_ = padding_ = 0;
  if (at_end_mark_) return nullptr;
  Extensions extensions;
  header_offset_ = data_offset();
  for (;;) {
    TRY(std::string_view header, take_block());
    if (header.empty()) return truncated();
    if (is_zero(header)) {
      seen_header_ = true;
      if (extensions.awaits_entry) return damaged("an extended header without an entry");
      TRY(at_end_mark_, take_end_mark());
      return nullptr;
    }
    if (!has_right_checksum(header))
      return seen_header_ ? damaged("the header's checksum is wrong") : not_a_tar();
    seen_header_ = true;
    TRY(int64_t size, number(header, {tar_field::kSize.offset, tar_field::kSize.size}, "size"));
    if (size < 0) return damaged("its size is negative");
    // The next call may take another block from the source.
    std::string copy(header);
    TRY(bool extension, take_extension(copy, static_cast<uint64_t>(size), extensions));
    if (extension) continue;
    TRY_VOID(read_member(copy, static_cast<uint64_t>(size), extensions));
    return &member_;
  }
}

void TarReader::read_names(std::string_view header, Extensions& extensions) {
  std::string_view name = field_text(header, tar_field::kName);
  std::string_view prefix;
  Flavour flavour = flavour_of(header);
  if (flavour == Flavour::kUstar) prefix = field_text(header, tar_field::kPrefix);
  if (flavour == Flavour::kStar) prefix = field_text(header, tar_field::kStarPrefix);
  PaxRecords& pax = extensions.pax;
  if (extensions.gnu_path) {
    member_.path = std::move(*extensions.gnu_path);
  } else if (pax.path) {
    member_.path = std::move(*pax.path);
  } else {
    member_.path = joined(prefix, name);
  }
  if (pax.sparse_name) member_.path = std::move(*pax.sparse_name);
  if (extensions.gnu_link) {
    member_.link = std::move(*extensions.gnu_link);
  } else if (pax.link) {
    member_.link = std::move(*pax.link);
  } else {
    member_.link = field_text(header, tar_field::kLink);
  }
}

Result<void> TarReader::read_numbers(std::string_view header, const PaxRecords& pax) {
  auto field = [&](TarField at, const char* what) {
    return number(header, {at.offset, at.size}, what);
  };
  TRY(int64_t mode, field(tar_field::kMode, "mode"));
  member_.mode = static_cast<uint32_t>(mode) & 07777;
  TRY(member_.uid, field(tar_field::kUid, "owner"));
  TRY(member_.gid, field(tar_field::kGid, "group"));
  TRY(member_.mtime_s, field(tar_field::kMtime, "time"));
  member_.mtime_ns = 0;
  member_.device_major = member_.device_minor = 0;
  if (member_.type == '3' || member_.type == '4') {
    TRY(member_.device_major, field(tar_field::kMajor, "device number"));
    TRY(member_.device_minor, field(tar_field::kMinor, "device number"));
  }
  for (const PaxRecords* records : {static_cast<const PaxRecords*>(&global_), &pax}) {
    member_.uid = records->uid.value_or(member_.uid);
    member_.gid = records->gid.value_or(member_.gid);
    member_.device_major = records->device_major.value_or(member_.device_major);
    member_.device_minor = records->device_minor.value_or(member_.device_minor);
    if (!records->mtime_s) continue;
    member_.mtime_s = *records->mtime_s;
    member_.mtime_ns = records->mtime_ns;
  }
  return {};
}

Result<void> TarReader::read_member(std::string_view header, uint64_t size,
                                    Extensions& extensions) {
  PaxRecords& pax = extensions.pax;
  if ((extensions.gnu_path && (pax.path || pax.sparse_name)) || (extensions.gnu_link && pax.link))
    return damaged("it has both a GNU and a PAX name");
  read_names(header, extensions);
  char type = header[tar_field::kType];
  // What old writers had no type for.
  if (type == '\0') type = member_.path.ends_with('/') ? '5' : '0';
  // Contiguous files are files, directories with a list of names are directories.
  if (type == '7') type = '0';
  member_.type = type == 'S' ? '0' : type == 'D' ? '5' : type;
  TRY_VOID(read_numbers(header, pax));
  member_.xattrs = std::move(pax.xattrs);
  member_.sparse = false;
  member_.size = 0;
  runs_.clear();
  run_ = 0;
  run_done_ = 0;
  // Of other types a size means nothing, and no data follows.
  bool old_directory = header[tar_field::kType] == '\0' && member_.type == '5';
  if (!has_data(type) && type != 'D' && !old_directory) return {};
  if (pax.size && *pax.size < 0) return damaged("its size is negative");
  if (pax.size) size = static_cast<uint64_t>(*pax.size);
  return begin_data(header, size, pax);
}

Result<void> TarReader::begin_data(std::string_view header, uint64_t size, PaxRecords& pax) {
  data_left_ = size;
  padding_ = tar_padding(size);
  if (member_.type != '0') return {};
  if (header[tar_field::kType] == 'S') {
    TRY_VOID(begin_gnu_sparse(header));
  } else if (pax.is_sparse() || pax.sparse_major >= 0) {
    TRY_VOID(begin_pax_sparse(pax));
  } else {
    member_.size = size;
    runs_.push_back({0, size});
    return {};
  }
  member_.sparse = true;
  Result<void> right = check_runs(runs_, member_.size, data_left_);
  if (!right) return in_header(std::move(right.error()));
  return {};
}

Result<void> TarReader::begin_gnu_sparse(std::string_view header) {
  if (flavour_of(header) != Flavour::kGnu) return damaged("a sparse file in a header not of GNU");
  TRY(int64_t size,
      number(header, {tar_field::kRealSize.offset, tar_field::kRealSize.size}, "size"));
  if (size < 0) return damaged("its size is negative");
  member_.size = static_cast<uint64_t>(size);
  Result<void> added = add_header_runs(field_bytes(header, tar_field::kSparse), runs_);
  bool more = header[tar_field::kSparseMore] != 0;
  for (size_t blocks = 0; added && more; ++blocks) {
    if (blocks > kMaxSparseRuns / 16) return damaged("its sparse map does not end");
    TRY(std::string_view block, take_block());
    if (block.empty()) return truncated();
    added = add_header_runs(field_bytes(block, tar_field::kMoreSparse), runs_);
    more = block[tar_field::kMoreSparseMore] != 0;
  }
  if (!added) return in_header(std::move(added.error()));
  return {};
}

Result<void> TarReader::begin_pax_sparse(PaxRecords& pax) {
  if (!pax.sparse_size) return damaged("a sparse file without its size");
  member_.size = *pax.sparse_size;
  bool in_data = pax.sparse_major == 1 && pax.sparse_minor == 0;
  if (!in_data && pax.sparse_major > 0) return damaged("a sparse file of an unknown version");
  if (!in_data) {
    runs_ = std::move(pax.sparse_runs);
    return {};
  }
  SparseMapParser parser;
  for (bool whole = false; !whole;) {
    if (data_left_ < kTarBlock) return damaged("its sparse map does not end");
    TRY(std::string_view block, take_block());
    if (block.empty()) return truncated();
    data_left_ -= kTarBlock;
    Result<bool> taken = parser.take(block, runs_);
    if (!taken) return in_header(std::move(taken.error()));
    whole = *taken;
  }
  return {};
}

Result<bool> TarReader::read_block(Block& block) {
  if (data_left_ == 0 || runs_.empty()) return false;
  while (run_done_ == runs_[run_].size) {
    ++run_;
    run_done_ = 0;
  }
  const SparseRun& run = runs_[run_];
  TRY(block.bytes, take(std::min<uint64_t>(run.size - run_done_, SIZE_MAX)));
  if (block.bytes.empty()) return truncated();
  block.offset = run.offset + run_done_;
  run_done_ += block.bytes.size();
  data_left_ -= block.bytes.size();
  return true;
}

Result<TarReader::Summary> TarReader::finish() {
  uint64_t behind = 0;
  for (;;) {
    TRY(std::string_view bytes, take(SIZE_MAX));
    if (bytes.empty()) break;
    behind += bytes.size();
    if (behind > kMaxTail)
      return Error(ErrorKind::kResourceExhausted, "more than 256 MiB behind the archive's end");
    TRY_VOID(pass_on(bytes));
  }
  return Summary{hash_.finish(), pulled_};
}

}  // namespace wherry::archive
