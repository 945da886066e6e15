// Entries made of the fuzzer's bytes, in order and below directories: what a tree's record may say
// must come back from the image, byte for byte the same each time.
#include <cstdlib>
#include <exception>

#include "unit/tree/image_reader.h"
#include "unit/tree/nodes.h"

using namespace wherry::tree;
using namespace wherry::tree::testing;

namespace {

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int i = byte() % 9; i > 0; --i) value = value << 8 | byte();
    return value;
  }
  std::string text(size_t most) {
    const uint8_t how = byte();
    if (how >= 128)
      return std::string(std::min<size_t>(most, (how - 127u) * 37), static_cast<char>(byte()));
    std::string text;
    for (int i = how % 16; i >= 0; --i) text.push_back(static_cast<char>(byte()));
    return text;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

Node node_from(Bytes& bytes, std::string path) {
  Node node{.path = std::move(path)};
  node.type = static_cast<Type>(1 + bytes.byte() % 7);
  node.mode = static_cast<uint16_t>(bytes.number());
  node.uid = static_cast<uint32_t>(bytes.number());
  node.gid = static_cast<uint32_t>(bytes.number());
  node.mtime_s = static_cast<int64_t>(bytes.number());
  node.mtime_ns = static_cast<uint32_t>(bytes.number());
  if (node.type == Type::kFile) node.size = bytes.number();
  if (node.size > 0) node.object[bytes.byte() % 32] = bytes.byte();
  if (node.type == Type::kSymlink) node.target = bytes.text(kMaxTarget);
  if (node.type == Type::kCharDevice || node.type == Type::kBlockDevice) {
    node.device_major = static_cast<uint32_t>(bytes.number());
    node.device_minor = static_cast<uint32_t>(bytes.number());
  }
  for (int i = bytes.byte() % 4; i > 0; --i)
    node.xattrs.emplace_back("user." + bytes.text(250), bytes.text(kMaxXattrBytes));
  std::ranges::sort(node.xattrs);
  return node;
}

// What a record would refuse is left out.
bool is_accepted(const Node& node) {
  Node alone = node;
  alone.path = "a";
  return write(RecordKind::kTree, {directory(""), alone}).summary.has_value();
}

std::vector<Node> tree_from(Bytes& bytes) {
  std::vector<std::string> directories = {""};
  Nodes nodes;
  nodes[""] = directory("");
  while (!bytes.empty() && nodes.size() < 2000) {
    const std::string& parent = directories[bytes.byte() % directories.size()];
    std::string name = bytes.text(kMaxName);
    if (name.find('/') != name.npos || parent.size() > 3000) continue;
    Node node = node_from(bytes, parent.empty() ? name : parent + "/" + name);
    const Entry entry = node.view();
    if (nodes.contains(node.path) || !write(RecordKind::kLayer, {node}).summary ||
        !is_accepted(node))
      continue;
    if (entry.type == Type::kDirectory) directories.push_back(node.path);
    nodes[node.path] = std::move(node);
  }
  return in_order(nodes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  Dice dice(bytes.number());
  std::vector<Node> nodes = tree_from(bytes);
  link_some(dice, nodes);
  const std::string tree = record(RecordKind::kTree, nodes);
  const std::string image = image_of(tree);
  if (ImageReader(image).read() != nodes || image_of(tree) != image) std::abort();
  return 0;
}
