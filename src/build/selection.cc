// The key of a COPY: what its result shows, as lines (docs/formats/copy-key.md), and their SHA-256.
#include <sys/sysmacros.h>

#include "build/copy.h"
#include "build/resolve.h"
#include "build/select.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

// Fields are separated by spaces, so one that may have some gets them escaped.
std::string field(std::string_view text) {
  std::string escaped;
  for (char c : escape_name(text)) {
    if (c == ' ') {
      escaped += "\\x20";
    } else {
      escaped += c;
    }
  }
  return escaped.empty() ? "." : escaped;
}

char letter(const Entry& entry) {
  switch (entry.type) {
    case EntryType::kFile:
      return 'f';
    case EntryType::kDirectory:
      return entry.implied ? 'p' : 'd';
    case EntryType::kLink:
      return 'l';
    case EntryType::kFifo:
      return 'i';
    case EntryType::kCharDevice:
      return 'c';
    case EntryType::kBlockDevice:
      return 'b';
  }
  return '?';
}

void add_octal(std::string& text, uint32_t mode) {
  for (int shift = 9; shift >= 0; shift -= 3) text += static_cast<char>('0' + (mode >> shift & 7));
}

// What a type has as its content.
std::string content_of(const Entry& entry) {
  if (entry.content) return entry.content->hex();
  if (entry.type == EntryType::kLink) return field(entry.target);
  if (entry.type == EntryType::kCharDevice || entry.type == EntryType::kBlockDevice)
    return std::to_string(major(entry.rdev)) + ":" + std::to_string(minor(entry.rdev));
  return "-";
}

void add_line(std::string& text, const Entry& entry, bool owners) {
  text += letter(entry);
  text += ' ';
  if (entry.type == EntryType::kLink) {
    text += '-';  // links have no mode of their own
  } else {
    add_octal(text, entry.mode);
  }
  text += ' ';
  text += owners ? std::to_string(entry.uid) + ":" + std::to_string(entry.gid) : "-";
  text += ' ';
  text += entry.type == EntryType::kFile ? std::to_string(entry.size) : "-";
  text += ' ';
  text += content_of(entry);
  text += ' ';
  text += entry.xattrs ? entry.xattrs->hex() : "-";
  text += ' ';
  text += field(entry.path);
  text += '\n';
}

}  // namespace

std::string key_parts(const Selection& selection, const CopySpec& spec) {
  std::string text = "copy 1\ndestination " + field(spec.destination) + "\n";
  if (spec.chown) text += "owner " + field(*spec.chown) + "\n";
  // Two arguments make the destination a directory even if only one of them brings something.
  text += "arguments " + std::to_string(spec.sources.size()) + "\n";
  for (const SelectedSource& source : selection.sources) {
    text +=
        source.directory ? std::string("source directory") : "source file " + field(source.name);
    text += source.unpack ? " unpack\n" : "\n";
    bool owners = source.tree->keeps_owners() && !spec.chown;
    for (const Entry& entry : source.entries) add_line(text, entry, owners);
  }
  return text;
}

Digest Selection::key() const {
  return sys::sha256(parts);
}

uint64_t Selection::files() const {
  uint64_t count = 0;
  for (const SelectedSource& source : sources)
    for (const Entry& entry : source.entries) count += entry.type != EntryType::kDirectory;
  return count;
}

uint64_t Selection::bytes() const {
  uint64_t sum = 0;
  for (const SelectedSource& source : sources)
    for (const Entry& entry : source.entries) sum += entry.size;
  return sum;
}

}  // namespace wherry::build
