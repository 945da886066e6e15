#include "tree/complete.h"

namespace wherry::tree {
namespace {

std::string_view parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace

Result<const Entry*> Completer::next() {
  if (head_ == nullptr) {
    TRY(head_, layer_());
  }
  if (!begun_) {
    begun_ = true;
    if (head_ == nullptr || !head_->path.empty()) return left_out("");
  }
  if (head_ == nullptr) return head_;
  const std::string_view parent = parent_of(head_->path);
  while (directory_ != parent && !is_below(parent, directory_))
    directory_.resize(parent_of(directory_).size());
  if (directory_.size() < parent.size()) {
    const size_t slash = parent.find('/', directory_.empty() ? 0 : directory_.size() + 1);
    directory_ = parent.substr(0, slash);
    return left_out(directory_);
  }
  const Entry* entry = head_;
  head_ = nullptr;
  if (entry->type == Type::kDirectory) directory_ = entry->path;
  return entry;
}

Result<const Entry*> Completer::left_out(std::string_view path) {
  TRY(const Entry* found, tree_.find(path));
  const bool directory = found != nullptr && found->type == Type::kDirectory;
  shown_ = directory ? *found : Entry{.type = Type::kDirectory, .mode = 0755};
  shown_.path = path;
  return &shown_;
}

}  // namespace wherry::tree
