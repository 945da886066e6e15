// Looking: whether what is here is still what was brought, without reading all of it again.
//
// An object or a layer's file that nobody has touched since its content was proven has a time of
// change that is not later than its layer's index knows (store/object_index.h): its metadata is
// enough. What was touched since (written to, even with its times put back, or restored from a
// backup) is read again, and the index told. What only the disk has changed by itself is found by
// reading everything: that is fsck's.
//
// Before a start the image that it stands on is looked at whole, and before a build each layer that
// it counts on, once in a boot; later uses look at some objects each, one after another. What was
// looked at is kept in the run root, in one file. Checkouts: store/snapshot_look.h. Inside store/
// only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "state/trees.h"
#include "store/chain.h"
#include "store/store_state.h"

namespace wherry::store {

// Looks at all objects of a layer; reads those that were touched since they were last proven, and
// tells the index that they are right. kCorrupt names the first that is missing or damaged, and the
// path that it has in the layer.
Result<void> look_at_objects(const Places& places, int layer);
// The same, and reads the record, compares the index with it, and proves the recipe when it was
// touched. What is durable of a layer is whole if this says so.
Result<void> prove_layer(const Places& places, const Digest& diff_id, int layer);
// The caller has proven the layer's files and all of its objects just now: the index is told.
// kCorrupt: an object is missing or damaged by its metadata. Synced by the caller.
Result<void> note_proven(const Places& places, int layer);
// Whether the layer's recipe gives its exact tar, by doing it.
Result<void> prove_recipe(const Places& places, const Digest& diff_id, int layer);

// Since the layer was last proven.
Result<bool> is_recipe_touched(int layer);
// The layer's record and recipe have not been; false as well when that cannot be told.
bool are_files_untouched(int layer);

// "'/usr/bin/x'", a name that each of the objects (sorted) has in the layer, in their order; empty
// of those that it does not have.
Result<std::vector<std::string>> paths_of(int layer, std::span<const ObjectRef> objects);

// Whole by its metadata, and not changed since.
bool is_untouched(int objects, const ObjectRef& ref, const timespec& known_until);

// All objects of a chain; kCorrupt as look_at_objects(), with the layer.
Result<void> look_at_layers(const Places& places, std::span<const LayerFolder> layers);
// Before a start, on the rung erofs: kCorrupt as look_at_objects(), with the layer. `snapshot`: the
// file below trees/; false: it is not what the row says, and is to be made again.
Result<bool> look_before_start(Store::State& state, const state::TreeRow& row,
                               const std::string& snapshot);
// By its metadata alone.
bool is_sealed_snapshot(const Places& places, const std::string& name);
// Before a build counts on a layer: as prove_layer(), once in a boot; then as far as metadata and
// some of its objects tell.
Result<void> look_at_layer(Store::State& state, const Digest& diff_id, int layer);
// The tree with all of its layers, the layer, or a chain's checkouts (by the topmost one's name)
// were proven just now.
void note_looked(const Store::State& state, const std::string& name);
// In this boot.
bool is_looked(const Store::State& state, const std::string& name);
// Something is damaged: everything is looked at whole again before its next start.
void forget_looks(const Store::State& state);

}  // namespace wherry::store
