// A small reader of EROFS images for tests, written from the format's description and not from our
// writer: checks the superblock, the bounds of every inode and dirent, that no two things overlap,
// and gives the tree back.
#pragma once

#include <sys/stat.h>

#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tree/erofs_writer.h"
#include "unit/tree/nodes.h"

namespace wherry::tree::testing {

class ImageReader {
 public:
  explicit ImageReader(std::string_view image) : image_(image) {}

  // The tree in order; std::runtime_error says what is wrong with the image.
  std::vector<Node> read() {
    check_superblock();
    walk("", number<uint16_t>(1024 + 14), number<uint16_t>(1024 + 14));
    must(inodes_.size() == number<uint64_t>(1024 + 16), "the number of inodes");
    for (const auto& [nid, inode] : inodes_)
      must(inode.links == inode.names, "the number of links");
    std::map<uint64_t, uint32_t> numbers;
    std::vector<Node> nodes = in_order(nodes_);
    for (Node& node : nodes) {
      const uint64_t nid = nids_.at(node.path);
      if (node.type != Type::kDirectory && inodes_.at(nid).names > 1)
        node.inode = numbers.emplace(nid, static_cast<uint32_t>(numbers.size() + 1)).first->second;
    }
    return nodes;
  }

 private:
  struct Inode {
    Node node;
    uint32_t links = 0, names = 0;
    unsigned layout = 0;
    uint64_t size = 0;
    uint32_t special = 0;
    uint64_t end = 0;  // of the attributes
  };

  static void must(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
  }
  template <typename T>
  T number(uint64_t at) const {
    must(at + sizeof(T) <= image_.size(), "a number beyond the image");
    T value;
    std::memcpy(&value, image_.data() + at, sizeof value);
    static_assert(std::endian::native == std::endian::little);
    return value;
  }
  std::string_view bytes(uint64_t at, uint64_t size) const {
    must(at <= image_.size() && size <= image_.size() - at, "bytes beyond the image");
    return image_.substr(at, size);
  }
  void claim(uint64_t at, uint64_t size) {
    bytes(at, size);
    if (size == 0) return;
    const auto after = claimed_.upper_bound(at);
    must(after == claimed_.end() || at + size <= after->first, "an overlap with what follows");
    must(after == claimed_.begin() || std::prev(after)->second <= at,
         "an overlap with what is before");
    claimed_[at] = at + size;
  }

  void check_superblock() {
    must(image_.size() % 4096 == 0 && image_.size() >= 8192, "the size");
    must(number<uint32_t>(1024) == 0xe0f5e1e2, "the magic number");
    must(number<uint32_t>(1024 + 36) == image_.size() / 4096, "the number of blocks");
    must(number<uint8_t>(1024 + 12) == 12, "the block size");
    must(number<uint32_t>(1024 + 8) == 3 && number<uint32_t>(1024 + 80) == 4, "the features");
    std::string block(bytes(1024, 3072));
    std::memset(block.data() + 4, 0, 4);
    uint32_t crc = ~0u;  // CRC-32C without the last inversion, bit by bit
    for (const char c : block) {
      crc ^= static_cast<uint8_t>(c);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    must(crc == number<uint32_t>(1024 + 4), "the checksum");
    claim(0, 4096);
  }

  Inode& inode(uint64_t nid) {
    const auto known = inodes_.find(nid);
    if (known != inodes_.end()) return known->second;
    const uint64_t at = nid * 32;
    const auto format = number<uint16_t>(at);
    must((format & ~0xe) == 1, "an inode's format");
    Inode made;
    made.layout = format >> 1;
    const auto mode = number<uint16_t>(at + 4);
    made.size = number<uint64_t>(at + 8);
    made.special = number<uint32_t>(at + 16);
    made.links = number<uint32_t>(at + 44);
    Node& node = made.node;
    node.mode = mode & 07777;
    node.type = type_of(mode);
    node.uid = number<uint32_t>(at + 24);
    node.gid = number<uint32_t>(at + 28);
    node.mtime_s = number<int64_t>(at + 32);
    node.mtime_ns = number<uint32_t>(at + 40);
    const auto count = number<uint16_t>(at + 2);
    const uint64_t xattrs = count == 0 ? 0 : 12 + 4 * (uint64_t{count} - 1);
    made.end = at + 64 + xattrs;
    must(read_xattrs(node, at + 64, xattrs) == (node.type == Type::kFile && made.size > 0),
         "a redirection of what has no object, or none of what has one");
    read_content(made);
    claim(at, own_end(made) - at);
    return inodes_.emplace(nid, std::move(made)).first->second;
  }

  static Type type_of(uint16_t mode) {
    switch (mode & S_IFMT) {
      case S_IFDIR:
        return Type::kDirectory;
      case S_IFREG:
        return Type::kFile;
      case S_IFLNK:
        return Type::kSymlink;
      case S_IFCHR:
        return Type::kCharDevice;
      case S_IFBLK:
        return Type::kBlockDevice;
      case S_IFIFO:
        return Type::kFifo;
      case S_IFSOCK:
        return Type::kSocket;
      default:
        throw std::runtime_error("an inode's type");
    }
  }

  // True when overlay is told of an object.
  bool read_xattrs(Node& node, uint64_t at, uint64_t size) {
    if (size == 0) return false;
    must(number<uint8_t>(at + 4) == 0, "shared attributes");
    const uint64_t end = at + size;
    bool metacopy = false;
    for (at += 12; at < end;) {
      const auto name_size = number<uint8_t>(at);
      const auto prefix = number<uint8_t>(at + 1);
      const auto value_size = number<uint16_t>(at + 2);
      const std::string name(bytes(at + 4, name_size));
      const std::string value(bytes(at + 4 + name_size, value_size));
      at += (4 + name_size + value_size + 3u) / 4 * 4;
      must(at <= end, "an attribute beyond its inode");
      if (prefix == 4 && name == "overlay.metacopy") {
        must(value.empty(), "the value of metacopy");
        metacopy = true;
      } else if (prefix == 4) {
        must(name == "overlay.redirect" && value.size() == 66 && value[0] == '/' && value[3] == '/',
             "a redirection");
        const std::string hex = value.substr(1, 2) + value.substr(4);
        for (size_t i = 0; i < node.object.size(); ++i)
          node.object[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
      } else {
        must(prefix == 1 || prefix == 6, "a prefix");
        node.xattrs.emplace_back((prefix == 1 ? "user." : "security.") + name, value);
      }
    }
    std::ranges::sort(node.xattrs);
    return metacopy;
  }

  void read_content(Inode& inode) {
    Node& node = inode.node;
    if (node.type == Type::kFile) {
      node.size = inode.size;
      if (inode.size == 0) return;
      must(inode.layout == 4 && inode.special == 31, "the layout of a file");
      for (uint64_t i = 0; i * (uint64_t{1} << 43) < inode.size; ++i)
        must(number<uint32_t>(inode.end + 4 * i) == 0xffffffff, "a file's hole");
    } else if (node.type == Type::kSymlink) {
      must(inode.layout == 2 && inode.size > 0 && inode.size < 4096, "the layout of a symlink");
      must(inode.end % 4096 + inode.size <= 4096, "a target that crosses blocks");
      node.target = bytes(inode.end, inode.size);
    } else if (node.type == Type::kCharDevice || node.type == Type::kBlockDevice) {
      node.device_major = (inode.special >> 8) & 0xfff;
      node.device_minor = (inode.special & 0xff) | ((inode.special >> 12) & 0xfff00);
    } else if (node.type == Type::kDirectory) {
      must(inode.layout == 0 || inode.layout == 2, "the layout of a directory");
    } else {
      must(inode.size == 0, "the size of something special");
    }
  }

  // Behind the inode, its attributes and what follows them.
  uint64_t own_end(const Inode& inode) const {
    if (inode.node.type == Type::kFile && inode.size > 0)
      return inode.end + 4 * (((inode.size - 1) >> 43) + 1);
    if (inode.node.type == Type::kSymlink) return inode.end + inode.size;
    if (inode.node.type == Type::kDirectory && inode.layout == 2) {
      must(inode.end % 4096 + inode.size % 4096 <= 4096, "an end that crosses blocks");
      return inode.end + inode.size % 4096;
    }
    return inode.end;
  }

  std::string directory_data(const Inode& inode) {
    const uint64_t blocks = inode.size / 4096, rest = inode.size % 4096;
    const bool with_end = inode.layout == 2;
    std::string data(bytes(inode.special * uint64_t{4096}, blocks * 4096));
    claim(inode.special * uint64_t{4096}, (blocks + (rest > 0 && !with_end)) * 4096);
    data += bytes(with_end ? inode.end : (inode.special + blocks) * 4096, rest);
    return data;
  }

  void walk(const std::string& path, uint64_t nid, uint64_t parent) {
    Inode& here = inode(nid);
    must(here.names == 0, "a directory with two names");
    must(here.node.type == Type::kDirectory, "a directory that is none");
    add(path, nid);
    here.names = 2;
    const std::string data = directory_data(here);
    std::string last;
    std::vector<std::pair<std::string, uint64_t>> below;
    for (uint64_t block = 0; block < data.size(); block += 4096) {
      for (auto& [name, to] : names(std::string_view(data).substr(block, 4096))) {
        must(last < name, "names out of order");
        last = name;
        if (name == ".") must(to == nid, "'.'");
        if (name == "..") must(to == parent, "'..'");
        if (name != "." && name != "..") below.emplace_back(std::move(name), to);
      }
    }
    must(data.size() >= 27, "a directory without dots");
    for (const auto& [name, to] : below) {
      const std::string full = path.empty() ? name : path + "/" + name;
      if (inode(to).node.type == Type::kDirectory) {
        ++inodes_.at(nid).names;
        walk(full, to, nid);
      } else {
        ++inodes_.at(to).names;
        add(full, to);
      }
    }
  }

  std::vector<std::pair<std::string, uint64_t>> names(std::string_view block) {
    const auto at = [block]<typename T>(size_t offset, T) {
      must(offset + sizeof(T) <= block.size(), "a dirent beyond its block");
      T value;
      std::memcpy(&value, block.data() + offset, sizeof value);
      return value;
    };
    std::vector<std::pair<std::string, uint64_t>> found;
    const size_t first = at(8, uint16_t{});
    must(first >= 12 && first % 12 == 0, "the number of dirents");
    for (size_t i = 0; i < first / 12; ++i) {
      const size_t from = at(i * 12 + 8, uint16_t{});
      const size_t to = i + 1 < first / 12 ? at(i * 12 + 20, uint16_t{}) : block.size();
      must(from < to && to <= block.size(), "a name beyond its block");
      std::string name(block.substr(from, to - from));
      if (i + 1 == first / 12) name = name.c_str();  // the last ends with the block or a zero
      const uint64_t nid = at(i * 12, uint64_t{});
      constexpr uint8_t kTypes[] = {0, 2, 1, 7, 3, 4, 5, 6};
      must(at(i * 12 + 10, uint8_t{}) == kTypes[static_cast<size_t>(inode(nid).node.type)],
           "a dirent's type");
      found.emplace_back(std::move(name), nid);
    }
    return found;
  }

  void add(const std::string& path, uint64_t nid) {
    Node node = inodes_.at(nid).node;
    node.path = path;
    nids_[path] = nid;
    nodes_[path] = std::move(node);
  }

  std::string_view image_;
  std::map<uint64_t, uint64_t> claimed_;
  std::map<uint64_t, Inode> inodes_;
  std::map<std::string, uint64_t> nids_;
  Nodes nodes_;
};

// The image of a tree's record, all its bytes written once.
inline std::string image_of(std::string_view tree) {
  std::string image;
  std::map<uint64_t, uint64_t> written;
  std::vector<RecordReader> readers;
  readers.reserve(2);
  const auto size = write_erofs(
      [&]() -> Result<Entries> {
        TRY(RecordReader reader, RecordReader::open(tree, RecordKind::kTree, ~uint64_t{0}));
        readers.push_back(std::move(reader));
        return entries_of(readers.back());
      },
      [&](uint64_t offset, std::string_view bytes) -> Result<void> {
        if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size());
        std::copy(bytes.begin(), bytes.end(), image.begin() + static_cast<ptrdiff_t>(offset));
        written[offset] += bytes.size();
        return {};
      });
  if (!size) throw std::runtime_error(size.error().message());
  uint64_t end = 0;
  for (const auto& [offset, length] : written) {
    if (offset != end) throw std::runtime_error("bytes written twice or never");
    end = offset + length;
  }
  if (end != *size || image.size() != *size)
    throw std::runtime_error("another size than announced");
  return image;
}

}  // namespace wherry::tree::testing
