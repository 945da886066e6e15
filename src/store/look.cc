#include "store/look.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "archive/objects_client.h"
#include "store/tree_file.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

bool is_later(const timespec& one, const timespec& other) {
  return std::pair(one.tv_sec, one.tv_nsec) > std::pair(other.tv_sec, other.tv_nsec);
}

Result<timespec> change_of(int layer, const char* name) {
  struct stat info{};
  if (fstatat(layer, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return Error::from_errno(errno, "cannot look at '" + std::string(name) + "'");
  return info.st_ctim;
}

Result<void> set_known(int layer, const timespec& until) {
  const timespec times[] = {{0, UTIME_OMIT}, until};
  if (utimensat(layer, kIndexFile, times, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return Error::from_errno(errno, "cannot set the time of a layer's index");
}

Error damaged(int layer, const ObjectRef& ref, ObjectState state) {
  Result<std::vector<std::string>> paths = paths_of(layer, {&ref, 1});
  const std::string what =
      paths && !paths->front().empty() ? "its file " + paths->front() + " is " : "it is ";
  return Error(ErrorKind::kCorrupt, what +
                                        (state == ObjectState::kMissing ? "missing" : "damaged") +
                                        " (object '" + object_hex(ref.id) + "')");
}

// One object: by its metadata, or read when it was touched after `known`. `latest`: of what was
// read.
Result<ObjectState> look_at(int objects, const ObjectRef& ref, const timespec& known,
                            timespec& latest) {
  timespec changed{};
  ObjectState state = look_at_object(objects, ref, &changed);
  if (state != ObjectState::kWhole || !is_later(changed, known)) return state;
  TRY(state, read_object(objects, ref));
  if (state == ObjectState::kWhole && is_later(changed, latest)) latest = changed;
  return state;
}

Result<void> look_at_all(const Places& places, int layer, const ObjectIndex& index) {
  timespec latest = index.known_until();
  for (const ObjectRef& ref : index.refs()) {
    TRY(ObjectState state, look_at(places.objects.get(), ref, index.known_until(), latest));
    if (state != ObjectState::kWhole) return damaged(layer, ref, state);
  }
  if (is_later(latest, index.known_until())) [[maybe_unused]]
    Result<void> else_read_again = set_known(layer, latest);
  return {};
}

}  // namespace

Result<std::vector<std::string>> paths_of(int layer, std::span<const ObjectRef> objects) {
  std::vector<std::string> paths(objects.size());
  TRY(MappedFile record, MappedFile::open(layer, kRecord));
  TRY(tree::RecordReader reader,
      tree::RecordReader::open(record.bytes(), tree::RecordKind::kLayer, kMaxLayerEntries));
  size_t left = objects.size();
  while (left > 0) {
    TRY(const tree::Entry* entry, reader.next());
    if (entry == nullptr) break;
    if (entry->type != tree::Type::kFile || entry->size == 0) continue;
    auto found = std::ranges::lower_bound(objects, entry->object, {}, &ObjectRef::id);
    if (found == objects.end() || found->id != entry->object) continue;
    std::string& path = paths[static_cast<size_t>(found - objects.begin())];
    if (!path.empty()) continue;
    path = shown_path("/" + std::string(entry->path));
    --left;
  }
  return paths;
}

bool is_untouched(int objects, const ObjectRef& ref, const timespec& known_until) {
  timespec changed{};
  return look_at_object(objects, ref, &changed) == ObjectState::kWhole &&
         !is_later(changed, known_until);
}

Result<void> look_at_objects(const Places& places, int layer) {
  TRY(ObjectIndex index, ObjectIndex::open(layer));
  return look_at_all(places, layer, index);
}

Result<void> prove_recipe(const Places& places, const Digest& diff_id, int layer) {
  TRY(sys::Fd recipe, sys::open_at(layer, kRecipe, O_RDONLY | O_NOFOLLOW));
  const auto broken = [](const std::string& why) {
    return Error(ErrorKind::kCorrupt, "its recipe is damaged: " + why);
  };
  Result<archive::Rebuilt> made =
      archive::run_rebuild({.recipe = recipe.get(), .objects = places.objects.get()});
  if (!made && made.error().kind() == ErrorKind::kCorrupt) return broken(made.error().message());
  if (!made) return std::move(made.error());
  if (made->diff_id != diff_id) return broken("it gives '" + made->diff_id.str() + "'");
  return {};
}

Result<bool> is_recipe_touched(int layer) {
  TRY(ObjectIndex index, ObjectIndex::open(layer));
  TRY(timespec changed, change_of(layer, kRecipe));
  return is_later(changed, index.known_until());
}

bool are_files_untouched(int layer) {
  Result<ObjectIndex> index = ObjectIndex::open(layer);
  Result<timespec> record = change_of(layer, kRecord), recipe = change_of(layer, kRecipe);
  return index && record && recipe && !is_later(*record, index->known_until()) &&
         !is_later(*recipe, index->known_until());
}

Result<void> prove_layer(const Places& places, const Digest& diff_id, int layer) {
  TRY(LayerContents contents, read_layer(layer));
  TRY(ObjectIndex index, ObjectIndex::open(layer));
  if (!std::ranges::equal(contents.objects, index.refs()))
    return Error(ErrorKind::kCorrupt, "its index does not belong to its record");
  TRY(timespec changed, change_of(layer, kRecipe));
  TRY_VOID(look_at_all(places, layer, index));
  if (!is_later(changed, index.known_until())) return {};
  TRY_VOID(prove_recipe(places, diff_id, layer));
  return note_proven(places, layer);
}

Result<void> note_proven(const Places& places, int layer) {
  TRY(ObjectIndex index, ObjectIndex::open(layer));
  TRY(timespec latest, change_of(layer, kRecord));
  TRY(timespec recipe, change_of(layer, kRecipe));
  if (is_later(recipe, latest)) latest = recipe;
  for (const ObjectRef& ref : index.refs()) {
    timespec changed{};
    ObjectState state = look_at_object(places.objects.get(), ref, &changed);
    if (state != ObjectState::kWhole) return damaged(layer, ref, state);
    if (is_later(changed, latest)) latest = changed;
  }
  return set_known(layer, latest);
}

}  // namespace wherry::store
