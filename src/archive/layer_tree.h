// LayerTree: the tree that a layer's entries make, in memory, and its record.
//
// It behaves as the same entries do on a directory with RESOLVE_IN_ROOT, but for what only matters
// to layers: a name's whiteout hides what lower layers have and never what this layer brings,
// whichever comes first, so a directory that also has a whiteout is opaque. No name is ever a path
// on a disk. Source: image-spec 1.1, layer.md; docs/formats/store.md.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "archive/arena.h"
#include "archive/tree_sink.h"
#include "tree/record.h"

namespace wherry::archive {

class LayerTree {
 public:
  // `directory`: see Arena. Directories that entries leave out count as entries.
  static Result<std::unique_ptr<LayerTree>> open(int directory, uint64_t max_entries);

  // Paths as in TreeSink. Attributes that the type cannot have are left out and counted.
  Result<void> directory(std::string_view path, const Metadata& metadata);
  Result<void> file(std::string_view path, const Metadata& metadata, uint64_t size,
                    const tree::ObjectId& object);
  Result<void> symlink(std::string_view path, std::string_view target, const Metadata& metadata);
  Result<void> hard_link(std::string_view path, std::string_view target);
  Result<void> node(std::string_view path, tree::Type type, uint32_t major, uint32_t minor,
                    const Metadata& metadata);
  Result<void> whiteout(std::string_view path);
  Result<void> opaque(std::string_view path);
  uint64_t replaced() const { return replaced_; }
  uint64_t xattrs_lost() const { return xattrs_lost_; }

  // The entries in the record's order. The root is among them if it had an entry or is opaque.
  Result<void> write(tree::RecordWriter& writer);
  // After write(): objects of files that were replaced and that no file of the record has. Sorted.
  std::vector<tree::ObjectId> lost_objects() const;

 private:
  using Ref = Arena::Ref;
  struct Inode;
  struct Name;
  struct Place {
    Ref parent = 0;
    std::string_view name;
    bool hides = false;  // a whiteout of this name was among the entries
  };
  struct Level;

  LayerTree(std::unique_ptr<Arena> arena, uint64_t max_entries)
      : arena_(std::move(arena)), max_entries_(max_entries) {}
  Result<void> begin();
  Inode& inode(Ref ref) const;
  Name& name(Ref ref) const;
  std::string_view text(Ref name) const;

  // Names in directories.
  uint64_t hash_of(Ref directory, std::string_view text) const;
  Ref& bucket(uint64_t hash) const;
  Ref find(Ref directory, std::string_view text) const;
  Result<void> insert(const Place& place, Ref inode);
  Result<void> grow_table();
  void unhash(Ref name);
  void unlist(Ref name);
  void remove(Ref name);

  // Paths.
  Result<Ref> parent_of(std::string_view path, bool make);
  Result<Ref> walk(std::string_view path, bool make);
  Result<Ref> enter(Ref directory, std::string_view text, bool make, int& links);
  Result<Ref> follow(Ref directory, std::string_view target, int& links);
  Result<Place> place_of(std::string_view path);
  Result<Place> vacate(std::string_view path);

  Result<Ref> make_inode(tree::Type type);
  Result<Ref> make_directory(const Place& place);
  Result<void> set_metadata(Ref inode, const Metadata& metadata);
  Result<void> set_xattrs(Ref inode, const Metadata& metadata);

  // The record.
  Level level_of(Ref directory, size_t path_size) const;
  Result<void> emit(Ref inode, std::string_view path, bool opaque, tree::RecordWriter& writer);
  void note_alive(const tree::ObjectId& object);

  std::unique_ptr<Arena> arena_;
  uint64_t max_entries_;
  uint64_t names_made_ = 0;
  uint64_t replaced_ = 0;
  uint64_t xattrs_lost_ = 0;
  uint64_t steps_ = 0;  // through the targets of symlinks
  Ref root_ = 0;
  bool root_said_ = false;
  Ref table_ = 0;  // names by hash
  unsigned table_bits_ = 0;
  uint64_t names_ = 0;
  uint64_t key_[2] = {};
  uint32_t numbers_ = 0;     // of inodes with several names
  std::vector<Ref> dead_;    // files with content and no name left
  std::vector<bool> alive_;  // whether some other file has the same content
  std::string cached_path_;
  Ref cached_parent_ = 0;
};

}  // namespace wherry::archive
