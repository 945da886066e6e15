// Where wherry-unpack stands before it reads its first byte: see docs/design/unpack.md.
#pragma once

#include "archive/pack.h"
#include "archive/worker.h"

namespace wherry::archive {

// Makes the directory `root` this process's "/" in namespaces of its own, drops every capability
// that making files does not need, and allows only the system calls of unpacking, none of which
// starts a thread: the second one, as confined as this one, is returned.
Result<Worker> confine_unpacker(int root);

// As above for unpacking into objects: no capability is left, and `store`, unless it is -1, becomes
// a descriptor of a read-only copy of that directory's mount, from which ".." leads nowhere.
Result<Worker> confine_object_unpacker(int root, int store);

// For making tars again: "/" is a read-only copy of the store's objects, no capability is left.
Result<Worker> confine_rebuilder(int objects);

// As above for packing: "/" is read-only, and of the capabilities only passing over permissions of
// files for reading is left. Before the last of them go it looks for opaque directories.
struct PackerConfinement {
  Worker worker;
  OpaqueDirectories opaque;
};
Result<PackerConfinement> confine_packer(int root);

}  // namespace wherry::archive
