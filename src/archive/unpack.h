// What wherry-unpack does: one foreign tar from a descriptor into one directory, and a report.
//
// docs/design/unpack.md says how it is confined and why. Descriptors it is started with:
//   0  the tar, plain or compressed        3  the directory, empty for a layer
//   4  the report, a pipe                  5  a lock that lives as long as the process
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "archive/compression.h"
#include "archive/input.h"
#include "base/digest.h"

namespace wherry::archive {

inline constexpr int kUnpackTarFd = 0;
inline constexpr int kUnpackDirectoryFd = 3;
inline constexpr int kUnpackReportFd = 4;
inline constexpr int kUnpackLockFd = 5;
inline constexpr int kUnpackBlobFd = 6;

// Limits of one archive; beyond any of them it is refused (kResourceExhausted).
inline constexpr uint64_t kMaxEntries = 1'000'000;
inline constexpr size_t kMaxPath = 4095;
inline constexpr uint64_t kMaxFileSize = uint64_t{1} << 40;
inline constexpr size_t kMaxXattrs = 128;
inline constexpr size_t kMaxXattrSize = 64u << 10;
inline constexpr size_t kMaxOpaque = 4096;
inline constexpr size_t kMaxReport = 32u << 20;

// How what is in the archive becomes files, and what is kept of it.
struct UnpackRules {
  // A layer: ".wh." names are deletions. False, for ADD: they are names like others, the directory
  // may hold files and keeps its own metadata, and what is no tar at all is not an error but told
  // apart (Unpacked::archive).
  bool layer = true;
  // All entries belong to them, whatever the archive says: uid, gid.
  std::optional<std::pair<uint32_t, uint32_t>> owner;
  // The archive is kept byte for byte, whatever its compression: a manifest names these bytes.
  bool exact = false;
  uint64_t max_entries = kMaxEntries;
  // The archive is this part of the file that is read.
  std::optional<FilePart> part;
};

struct Unpacked {
  Digest diff_id;
  uint64_t tar_size = 0;    // bytes of the uncompressed tar
  uint64_t files_size = 0;  // bytes of the files in the tree
  uint64_t entries = 0;
  uint64_t dropped_xattrs = 0;  // of kinds that an image may not bring, or that could not be stored
  uint64_t replaced = 0;        // entries that took the place of an earlier one of the same name
  std::vector<std::string> opaque;  // directories that hide those of lower layers

  // What was read, to its end and with its compression: what a registry's descriptor names.
  Digest input;
  uint64_t input_size = 0;
  // What was kept, or would have been: gzip, zstd, anything when its very bytes are wanted; else
  // the plain tar.
  Digest blob;
  uint64_t blob_size = 0;
  Compression blob_compression = Compression::kNone;
  bool archive = true;  // false: its first entry could not be read; nothing was made
};

class TarReader;
class TreeSink;
class Worker;
// Unpacks what `tar` reads into `sink`; `blob` -1: nothing is kept; `raw`: see TarReader. The
// process has given up its rights before.
Result<Unpacked> unpack_into(TreeSink& sink, std::function<Result<void>(std::string_view)> raw,
                             int tar, int blob, Worker worker, const UnpackRules& rules);
// The entries alone.
Result<void> unpack_entries(TreeSink& sink, TarReader& tar, const UnpackRules& rules);
// Those of a plain tar, for tests.
Result<void> unpack_bytes(TreeSink& sink, std::string_view tar, const UnpackRules& rules);
// Unpacks what `tar` reads into the directory `root`. The process has given up its rights before.
Result<Unpacked> unpack(int tar, int root, Worker worker, const UnpackRules& rules = {});

// The report as bytes for the pipe, and back.
std::string report_of(const Result<Unpacked>& result);
Result<Unpacked> parse_unpack_report(const std::string& text);

// Whether the file that the helper wrote has the size that it reported.
Result<void> check_blob_size(int blob, uint64_t size);

}  // namespace wherry::archive
