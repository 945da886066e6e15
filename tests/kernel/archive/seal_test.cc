// Trees that are sealed: record and recipe of a packed tree are those of its tar.
#include "archive/objects_client.h"
#include "base/text.h"
#include "kernel/archive/random_tree.h"
#include "kernel/archive/tree_fixture.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace wherry::archive {
namespace {

class SealTest : public TreeFixture {
 protected:
  struct Sealed {
    Packed packed;
    std::string record, recipe;
  };
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  Result<Sealed> seal(const std::string& tree, const std::string& name, int blob = -1) {
    sys::Fd directory = open(tree), record = new_file(name + ".tree");
    sys::Fd recipe = new_file(name + ".recipe");
    TRY(Packed packed, run_pack({.directory = directory.get(),
                                 .blob = blob,
                                 .compression = Compression::kZstd,
                                 .record = record.get(),
                                 .recipe = recipe.get()}));
    return Sealed{packed, read(base_ + "/" + name + ".tree"), read(base_ + "/" + name + ".recipe")};
  }
  // Moves the tree's files among the objects, each where the record says, as the engine does.
  void take(const std::string& tree, const std::string& record, const std::string& store) {
    auto reader = tree::RecordReader::open(record, tree::RecordKind::kLayer, 1 << 20);
    ASSERT_TRUE(reader) << reader.error().message();
    for (;;) {
      auto entry = reader->next();
      ASSERT_TRUE(entry) << entry.error().message();
      if (*entry == nullptr) return;
      if ((*entry)->type != tree::Type::kFile || (*entry)->size == 0) continue;
      std::string content = read(tree + "/" + std::string((*entry)->path));
      std::string hex = to_hex((*entry)->object);
      EXPECT_EQ(sys::sha256(content).hex(), hex) << (*entry)->path;
      std::filesystem::create_directories(store + "/" + hex.substr(0, 2));
      write(store + "/" + hex.substr(0, 2) + "/" + hex.substr(2), content);
    }
  }
};

TEST_F(SealTest, AnyTreesRecordAndRecipeAreThoseOfItsTar) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    std::string n = std::to_string(seed);
    std::string tree = make_tree("tree" + n), in = make_tree("in" + n), store = make_tree("s" + n);
    RandomTree(tree, seed).grow(150);
    if (seed == 1) {
      ASSERT_EQ(setxattr(tree.c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
    }
    if (HasFatalFailure()) return;
    sys::Fd blob = new_file("blob" + n);
    Result<Sealed> sealed = seal(tree, "sealed" + n, blob.get());
    ASSERT_TRUE(sealed) << sealed.error().message();
    Result<Packed> plain = pack(tree);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->diff_id, sealed->packed.diff_id);
    EXPECT_FALSE(plain->record.has_value());
    rewind(blob);
    sys::Fd directory = open(in);
    Result<UnpackedObjects> unpacked =
        run_unpack_objects({.tar = blob.get(), .directory = directory.get()});
    ASSERT_TRUE(unpacked) << unpacked.error().message();
    EXPECT_EQ(unpacked->layer.diff_id, sealed->packed.diff_id);
    EXPECT_EQ(read(in + "/tree"), sealed->record) << seed;
    EXPECT_EQ(unpacked->record, *sealed->packed.record);
    EXPECT_EQ(unpacked->record_entries, sealed->packed.record_entries);
    take(tree, sealed->record, store);
    sys::Fd objects = open(store);
    for (const std::string& recipe : {base_ + "/sealed" + n + ".recipe", in + "/recipe"}) {
      sys::Fd file = std::move(*sys::open_file(recipe, O_RDONLY));
      Result<Rebuilt> rebuilt = run_rebuild({.recipe = file.get(), .objects = objects.get()});
      ASSERT_TRUE(rebuilt) << rebuilt.error().message();
      EXPECT_EQ(rebuilt->diff_id, sealed->packed.diff_id);
    }
  }
}

TEST_F(SealTest, AnEmptyTreeIsAnEmptyRecord) {
  Result<Sealed> sealed = seal(make_tree("tree"), "sealed");
  ASSERT_TRUE(sealed) << sealed.error().message();
  EXPECT_EQ(sealed->packed.record_entries, 0u);
  EXPECT_EQ(sealed->packed.diff_id, sys::sha256(std::string(1024, '\0')));
}

}  // namespace
}  // namespace wherry::archive
