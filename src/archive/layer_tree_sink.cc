#include "archive/layer_tree_sink.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace wherry::archive {

Result<void> LayerTreeSink::node(const std::string& path, mode_t type, dev_t device,
                                 const Metadata& metadata) {
  tree::Type kind = type == S_IFIFO   ? tree::Type::kFifo
                    : type == S_IFCHR ? tree::Type::kCharDevice
                                      : tree::Type::kBlockDevice;
  return tree_.node(path, kind, major(device), minor(device), metadata);
}

}  // namespace wherry::archive
