#include "archive/pax.h"

#include <algorithm>

#include "archive/unpack.h"
#include "base/text.h"

namespace wherry::archive {
namespace {

Error bad_record(std::string_view why) {
  return Error(ErrorKind::kCorrupt, "a record of its PAX header is damaged: " + std::string(why));
}
Error bad_value(std::string_view key) {
  return bad_record("the value of '" + std::string(key) + "'");
}

struct Record {
  std::string_view key;
  std::string_view value;
};

// Takes "LENGTH KEY=VALUE\n" from the front.
Result<Record> take_record(std::string_view& data) {
  size_t space = data.find(' ');
  if (space == data.npos || space > 10) return bad_record("no length");
  std::optional<uint64_t> length = parse_u64(data.substr(0, space));
  if (!length || *length > data.size() || *length < space + 3 || data[*length - 1] != '\n')
    return bad_record("its length");
  std::string_view text = data.substr(space + 1, *length - space - 2);
  data.remove_prefix(*length);
  size_t equals = text.find('=');
  if (equals == text.npos || equals == 0) return bad_record("no key");
  Record record{text.substr(0, equals), text.substr(equals + 1)};
  if (record.key.contains('\0')) return bad_record("its key");
  return record;
}

Result<void> set_text(const Record& record, std::optional<std::string>& text) {
  if (record.value.contains('\0')) return bad_value(record.key);
  // No value: the header's own counts.
  text.reset();
  if (!record.value.empty()) text = record.value;
  return {};
}

Result<void> set_number(const Record& record, std::optional<int64_t>& number) {
  number.reset();
  if (record.value.empty()) return {};
  number = parse_i64(record.value);
  if (!number) return bad_value(record.key);
  return {};
}

Result<uint64_t> size_of(const Record& record) {
  std::optional<uint64_t> number = parse_u64(record.value);
  if (!number || *number > INT64_MAX) return bad_value(record.key);
  return *number;
}

// "-7.25": seconds are rounded down, so that the fraction counts upwards.
Result<void> set_time(const Record& record, PaxRecords& records) {
  records.mtime_s.reset();
  records.mtime_ns = 0;
  if (record.value.empty()) return {};
  auto [whole, fraction] = split_once(record.value, '.');
  std::optional<int64_t> seconds = parse_i64(whole);
  if (!seconds) return bad_value(record.key);
  uint32_t ns = 0, unit = 100'000'000;
  for (char c : fraction.value_or("")) {
    if (c < '0' || c > '9') return bad_value(record.key);
    ns += static_cast<uint32_t>(c - '0') * unit;
    unit /= 10;
  }
  if (whole.starts_with('-') && ns > 0) {
    if (*seconds == INT64_MIN) return bad_value(record.key);
    --*seconds;
    ns = 1'000'000'000 - ns;
  }
  records.mtime_s = seconds;
  records.mtime_ns = ns;
  return {};
}

Result<void> set_charset(const Record& record) {
  if (record.value.empty() || record.value == "BINARY" || record.value == "ISO-IR 10646 2000 UTF-8")
    return {};
  return Error(ErrorKind::kUnsupported,
               "its names are in the character set '" + std::string(record.value) + "'");
}

Result<void> set_xattr(std::string_view name, std::string value, PaxRecords& records) {
  if (name.empty()) return bad_record("an attribute without a name");
  auto same = std::ranges::find(records.xattrs, name, &std::pair<std::string, std::string>::first);
  if (same != records.xattrs.end()) {
    same->second = std::move(value);
    return {};
  }
  if (records.xattrs.size() == kMaxXattrs)
    return Error(ErrorKind::kResourceExhausted, "it has more than 128 extended attributes");
  records.xattrs.emplace_back(name, std::move(value));
  return {};
}

// "%41" -> "A".
Result<std::string> decode_percent(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    auto digit = [&](size_t at) -> int {
      char c = at < text.size() ? text[at] : '\0';
      if (c >= '0' && c <= '9') return c - '0';
      if (c >= 'a' && c <= 'f') return c - 'a' + 10;
      if (c >= 'A' && c <= 'F') return c - 'A' + 10;
      return -1;
    };
    int high = digit(i + 1), low = digit(i + 2);
    if (high < 0 || low < 0 || high + low == 0) return bad_record("an attribute's name");
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return decoded;
}

// With or without '=' at its end: libarchive leaves it out.
std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string decoded;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    size_t value = kAlphabet.find(c);
    if (value == kAlphabet.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    decoded += static_cast<char>(bits >> count & 0xff);
  }
  return decoded;
}

Result<void> set_encoded_xattr(const Record& record, std::string_view name, PaxRecords& records) {
  TRY(std::string decoded, decode_percent(name));
  std::optional<std::string> value = decode_base64(record.value);
  if (!value) return bad_value(record.key);
  return set_xattr(decoded, std::move(*value), records);
}

Result<void> set_version(const Record& record, int& version) {
  TRY(uint64_t number, size_of(record));
  version = static_cast<int>(std::min<uint64_t>(number, 1000));
  return {};
}

Result<void> set_sparse(std::string_view what, const Record& record, PaxRecords& records) {
  if (what == "major") return set_version(record, records.sparse_major);
  if (what == "minor") return set_version(record, records.sparse_minor);
  if (what == "name") return set_text(record, records.sparse_name);
  if (what == "size" || what == "realsize") {
    TRY(records.sparse_size, size_of(record));
  } else if (what == "map") {
    records.sparse_runs.clear();
    return parse_run_list(record.value, records.sparse_runs);
  } else if (what == "offset") {
    if (records.sparse_offset) return bad_value(record.key);
    TRY(records.sparse_offset, size_of(record));
  } else if (what == "numbytes") {
    TRY(uint64_t size, size_of(record));
    if (!records.sparse_offset) return bad_value(record.key);
    if (records.sparse_runs.size() == kMaxSparseRuns)
      return Error(ErrorKind::kResourceExhausted, "its sparse map has too many runs");
    records.sparse_runs.push_back({*records.sparse_offset, size});
    records.sparse_offset.reset();
  }
  return {};
}

std::optional<std::string_view> behind(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix)) return std::nullopt;
  return key.substr(prefix.size());
}

// What may be said of all entries at once.
Result<bool> take_common(const Record& record, PaxRecords& records) {
  if (record.key == "uid") {
    TRY_VOID(set_number(record, records.uid));
  } else if (record.key == "gid") {
    TRY_VOID(set_number(record, records.gid));
  } else if (record.key == "mtime") {
    TRY_VOID(set_time(record, records));
  } else if (record.key == "hdrcharset") {
    TRY_VOID(set_charset(record));
  } else {
    return false;
  }
  return true;
}

Result<void> take(const Record& record, PaxRecords& records) {
  TRY(bool common, take_common(record, records));
  if (common) return {};
  if (record.key == "path") return set_text(record, records.path);
  if (record.key == "linkpath") return set_text(record, records.link);
  if (record.key == "size") return set_number(record, records.size);
  if (record.key == "SCHILY.devmajor") return set_number(record, records.device_major);
  if (record.key == "SCHILY.devminor") return set_number(record, records.device_minor);
  if (auto name = behind(record.key, "SCHILY.xattr."))
    return set_xattr(*name, std::string(record.value), records);
  if (auto name = behind(record.key, "LIBARCHIVE.xattr."))
    return set_encoded_xattr(record, *name, records);
  if (record.key == "RHT.security.selinux")
    return set_xattr("security.selinux", std::string(record.value), records);
  if (auto what = behind(record.key, "GNU.sparse.")) return set_sparse(*what, record, records);
  return {};
}

bool changes_names_or_data(std::string_view key) {
  return key == "path" || key == "linkpath" || key == "size" || key.starts_with("GNU.sparse.") ||
         key.starts_with("SCHILY.xattr.") || key.starts_with("LIBARCHIVE.xattr.");
}

}  // namespace

Result<void> parse_pax(std::string_view data, PaxRecords& records) {
  while (!data.empty()) {
    TRY(Record record, take_record(data));
    TRY_VOID(take(record, records));
  }
  if (records.sparse_offset) return bad_record("an offset without a size");
  return {};
}

Result<void> parse_global_pax(std::string_view data, PaxRecords& records) {
  while (!data.empty()) {
    TRY(Record record, take_record(data));
    if (changes_names_or_data(record.key))
      return Error(ErrorKind::kUnsupported,
                   "a global PAX header sets '" + std::string(record.key) + "' of all entries");
    TRY(bool common, take_common(record, records));
    static_cast<void>(common);
  }
  return {};
}

}  // namespace wherry::archive
