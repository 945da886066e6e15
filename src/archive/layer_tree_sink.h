// LayerTreeSink: a TreeSink that gives names and metadata to a LayerTree. What becomes of contents
// is for who derives from it.
#pragma once

#include <string>

#include "archive/layer_tree.h"
#include "archive/tree_sink.h"

namespace wherry::archive {

class LayerTreeSink : public TreeSink {
 public:
  Result<void> directory(const std::string& path, const Metadata& metadata) override {
    return tree_.directory(path, metadata);
  }
  Result<void> symlink(const std::string& path, const std::string& target,
                       const Metadata& metadata) override {
    return tree_.symlink(path, target, metadata);
  }
  Result<void> hard_link(const std::string& path, const std::string& target) override {
    return tree_.hard_link(path, target);
  }
  Result<void> node(const std::string& path, mode_t type, dev_t device,
                    const Metadata& metadata) override;
  Result<void> whiteout(const std::string& path) override { return tree_.whiteout(path); }
  Result<void> opaque(const std::string& path) override { return tree_.opaque(path); }
  Result<void> finish() override { return {}; }
  uint64_t xattrs_lost() const override { return tree_.xattrs_lost(); }
  uint64_t replaced() const override { return tree_.replaced(); }

 protected:
  // `tree` outlives the sink.
  explicit LayerTreeSink(LayerTree& tree) : tree_(tree) {}
  LayerTree& tree() { return tree_; }

 private:
  LayerTree& tree_;
};

}  // namespace wherry::archive
