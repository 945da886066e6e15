// Builds tars byte by byte, hostile ones too: libarchive's writer is too polite for that.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace wherry::testing {

struct TarEntry {
  std::string name;
  char type = '0';
  std::string data;
  std::string link;
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  long mtime = 1'000'000'000;
  unsigned major = 0;
  unsigned minor = 0;
  std::vector<std::pair<std::string, std::string>> pax;  // records of an extended header before it
};

class TarBuilder {
 public:
  TarBuilder& add(const TarEntry& entry) {
    if (!entry.pax.empty()) {
      std::string records;
      for (const auto& [key, value] : entry.pax) records += pax_record(key, value);
      append({.name = "pax", .type = 'x', .data = records});
    }
    append(entry);
    return *this;
  }
  TarBuilder& file(const std::string& name, const std::string& data = "x") {
    return add({.name = name, .data = data});
  }
  TarBuilder& directory(const std::string& name) {
    return add({.name = name, .type = '5', .mode = 0755});
  }
  TarBuilder& symlink(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '2', .link = target, .mode = 0777});
  }
  TarBuilder& hard_link(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '1', .link = target});
  }
  // With the end mark.
  std::string bytes() const { return bytes_ + std::string(1024, '\0'); }
  std::string bytes_without_end() const { return bytes_; }

 private:
  static std::string pax_record(const std::string& key, const std::string& value) {
    size_t body = key.size() + value.size() + 3;
    size_t length = body + std::to_string(body).size();
    if (std::to_string(length).size() != std::to_string(body).size())
      length = body + std::to_string(length).size();
    return std::to_string(length) + " " + key + "=" + value + "\n";
  }

  void append(const TarEntry& entry) {
    char header[512] = {};
    memcpy(header, entry.name.data(), std::min<size_t>(entry.name.size(), 100));
    octal(header + 100, 8, entry.mode);
    octal(header + 108, 8, entry.uid);
    octal(header + 116, 8, entry.gid);
    octal(header + 124, 12, entry.data.size());
    octal(header + 136, 12, static_cast<unsigned long>(entry.mtime));
    header[156] = entry.type;
    memcpy(header + 157, entry.link.data(), std::min<size_t>(entry.link.size(), 100));
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    octal(header + 329, 8, entry.major);
    octal(header + 337, 8, entry.minor);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (char c : header) sum += static_cast<unsigned char>(c);
    octal(header + 148, 7, sum);
    bytes_.append(header, sizeof header);
    bytes_ += entry.data;
    bytes_.append((512 - entry.data.size() % 512) % 512, '\0');
  }

  static void octal(char* field, int width, unsigned long value) {
    char text[32];
    snprintf(text, sizeof text, "%0*lo", width - 1, value);
    memcpy(field, text, static_cast<size_t>(width) - 1);
  }

  std::string bytes_;
};

// `filter`: "gzip", "bzip2", "xz", "zstd".
inline std::string compress(const std::string& data, const char* filter) {
  std::string out(data.size() + (1u << 20), '\0');
  size_t used = 0;
  ::archive* writer = archive_write_new();
  archive_write_add_filter_by_name(writer, filter);
  archive_write_set_format_raw(writer);
  archive_write_set_bytes_per_block(writer, 0);
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, data.data(), data.size());
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

}  // namespace wherry::testing
