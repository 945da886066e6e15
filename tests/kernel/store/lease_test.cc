#include "store/lease.h"

#include <sys/wait.h>

#include "kernel/store/store_fixture.h"
#include "state/images.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

class LeaseTest : public StoreFixture {
 protected:
  // An image of one layer with this file: the layer.
  Digest layer(const std::string& name) {
    EXPECT_FALSE(tree_of(testing::TarBuilder().file(name, name)).empty());
    auto rows = state::layers_of(*database_, store_->find("test")->id.str());
    EXPECT_TRUE(rows && rows->size() == 1);
    return *Digest::parse(rows->front().diff_id);
  }
  Store::Removed removed() {
    Result<Store::Removed> done = store_->remove("test", /*force=*/true, {});
    EXPECT_TRUE(done) << done.error().message();
    return *done;
  }
  bool here(const Digest& diff_id) { return *store_->has_layer(diff_id); }
  uint64_t pruned() {
    return *store_->prune_layers([] { return Result<void>(); });
  }
};

TEST_F(LeaseTest, KeepsALayerOfAnImageThatIsRemovedUntilItEnds) {
  Digest held = layer("a");
  {
    Result<Lease> lease = store_->new_lease();
    ASSERT_TRUE(lease && lease->hold({&held, 1}));
    EXPECT_EQ(removed().deleted.size(), 1u) << "the image alone";
    EXPECT_EQ(pruned(), 0u);
    EXPECT_TRUE(here(held));
  }
  EXPECT_FALSE(here(held));
  expect_empty();
}

TEST_F(LeaseTest, RemovesNothingThatAnImageHasWhenItEnds) {
  Digest held = layer("a");
  {
    ASSERT_TRUE(store_->new_lease()->hold({&held, 1}));
  }
  EXPECT_TRUE(here(held));
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(LeaseTest, LeavesALayerToAnotherLease) {
  Digest held = layer("a");
  auto first = std::make_unique<Lease>(*store_->new_lease());
  auto second = std::make_unique<Lease>(*store_->new_lease());
  ASSERT_TRUE(first->hold({&held, 1}) && second->hold({&held, 1}));
  removed();
  first.reset();
  EXPECT_TRUE(here(held));
  second.reset();
  EXPECT_FALSE(here(held));
}

TEST_F(LeaseTest, HoldsAllOrNone) {
  Digest held[] = {layer("a"), sys::sha256("no layer")};
  Result<Lease> lease = store_->new_lease();
  Result<void> both = lease->hold(held);
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(both.error().message(), "no such layer: " + held[1].str());
  removed();
  EXPECT_FALSE(here(held[0]));
}

TEST_F(LeaseTest, OfAProcessThatDiesEndsWithTheNextSweep) {
  Digest held = layer("a");
  int ready[2], die[2];
  ASSERT_TRUE(pipe(ready) == 0 && pipe(die) == 0);
  pid_t child = fork();
  if (child == 0) {
    // A connection is its process's own.
    Result<state::Database> database = state::Database::open(root_);
    Result<Store> store = Store::open(*database, root_);
    Result<Lease> lease = store->new_lease();
    if (!lease || !lease->hold({&held, 1}) || write(ready[1], "x", 1) != 1) _exit(1);
    close(die[1]);
    char byte = 0;
    _exit(read(die[0], &byte, 1) == 0 ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  removed();
  EXPECT_TRUE(here(held));
  close(die[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_TRUE(here(held));
  ASSERT_TRUE(store_->sweep());
  expect_empty();
  for (int fd : {ready[0], ready[1], die[0]}) close(fd);
}

TEST_F(LeaseTest, OfADeadProcessHoldsNothing) {
  Digest held = layer("a");
  std::ofstream(root_ + "/incoming/0123456789abcdef.lock") << "hold " << held.hex() << "\n";
  removed();
  EXPECT_FALSE(here(held));
  ASSERT_TRUE(store_->sweep());
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(LeaseTest, OfADeadProcessTakesNothingFromALivingOne) {
  Digest held = layer("a");
  Result<Lease> lease = store_->new_lease();
  ASSERT_TRUE(lease && lease->hold({&held, 1}));
  removed();
  std::ofstream(root_ + "/incoming/0123456789abcdef.lock") << "hold " << held.hex() << "\n";
  ASSERT_TRUE(store_->sweep());
  EXPECT_TRUE(here(held));
  EXPECT_FALSE(std::filesystem::exists(root_ + "/incoming/0123456789abcdef.lock"));
}

}  // namespace
}  // namespace wherry::store
