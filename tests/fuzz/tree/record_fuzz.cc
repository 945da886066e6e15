// Records of hostile bytes, and what merging them and making an image of the result does: the first
// byte is the kind, then up to four records, each with its length before it. Lengths, counts and
// checksums are put right, so that the fuzzer gets past them.
#include <cstdlib>
#include <exception>

#include "sys/sha256.h"
#include "tree/coding.h"
#include "tree/merge.h"
#include "tree/record_layout.h"
#include "unit/tree/image_reader.h"
#include "unit/tree/nodes.h"

using namespace wherry::tree;
using namespace wherry::tree::testing;

namespace {

constexpr uint64_t kMostEntries = 20'000;

std::string with_trailer(std::string_view body, uint64_t entries, uint64_t files_size,
                         uint32_t inodes) {
  std::string bytes(body);
  bytes.push_back(0);
  append_fixed(bytes, entries);
  append_fixed(bytes, files_size);
  append_fixed(bytes, inodes);
  const std::string hex = wherry::sys::sha256(bytes).hex();
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

// The record of these entries with the counts that they have; "" when an entry is wrong.
std::string made_right(std::string_view entries, RecordKind kind) {
  std::string body(kRecordMagic);
  body.push_back(static_cast<char>(kRecordVersion));
  body.push_back(static_cast<char>(kind));
  body.resize(kRecordHeader);
  body += entries;
  const std::string claims = with_trailer(body, kMostEntries, 0, ~uint32_t{0});
  auto reader = RecordReader::open(claims, kind, kMostEntries);
  if (!reader) std::abort();
  uint64_t count = 0, files_size = 0;
  uint32_t inodes = 0;
  while (true) {
    const auto entry = reader->next();
    if (!entry || *entry == nullptr) break;
    ++count;
    const uint32_t inode = (*entry)->inode;
    if ((*entry)->type == Type::kFile && (inode == 0 || inode > inodes))
      files_size += (*entry)->size;
    inodes = std::max(inodes, inode);
  }
  std::string bytes = with_trailer(body, count, files_size, inodes);
  const auto again = read(bytes, kind, kMostEntries);
  if (!again) return "";
  if (write(kind, *again).bytes != bytes) std::abort();  // there is one way to say it
  return bytes;
}

void make_image(const std::vector<Node>& nodes) {
  const Written tree = write(RecordKind::kTree, nodes);
  if (!tree.summary) std::abort();
  if (ImageReader(image_of(tree.bytes)).read() != nodes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view left(reinterpret_cast<const char*>(data), size);
  if (left.empty()) return 0;
  (void)read(left, RecordKind::kLayer);
  const RecordKind kind = left[0] & 1 ? RecordKind::kTree : RecordKind::kLayer;
  left.remove_prefix(1);
  std::vector<std::string> records;
  while (left.size() > 2 && records.size() < 4) {
    const size_t length = std::min<size_t>(load_fixed<uint16_t>(left.data()), left.size() - 2);
    std::string record = made_right(left.substr(2, length), kind);
    if (!record.empty()) records.push_back(std::move(record));
    left.remove_prefix(2 + length);
  }
  if (kind == RecordKind::kTree) {
    for (const std::string& record : records) make_image(*read(record, kind));
    return 0;
  }
  std::vector<RecordReader> readers;
  for (const std::string& record : records)
    readers.push_back(std::move(*RecordReader::open(record, kind, kMostEntries)));
  auto merger = Merger::open(std::move(readers));
  if (!merger) std::abort();
  std::vector<Node> nodes;
  size_t bytes = 0;
  while (const Entry* entry = *merger->next()) {
    nodes.push_back(node_of(*entry));
    bytes += entry->path.size();
    if (bytes > 8u << 20) return 0;  // long paths are cheap to tell and dear to hold
  }
  make_image(nodes);
  return 0;
}
