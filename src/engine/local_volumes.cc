// Volumes: their facts in the database, their directories, and who uses them.
//
// A fact is committed before its directory is made and goes before its directory does: a directory
// without a fact has no owner. <run root>/volumes.lock is held shared by whoever makes a directory
// and exclusively by whoever takes one away, so that a name that is used again at this moment never
// loses its new files. Removal under the lock is a rename.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/names.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/tree_size.h"
#include "engine/volumes.h"
#include "state/facts.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

Error no_such_volume(const std::string& name) {
  return Error(ErrorKind::kNotFound, "get " + name + ": no such volume");
}

Error in_use(const std::string& name, const std::vector<std::string>& users) {
  std::string ids;
  for (const std::string& id : users) ids += (ids.empty() ? "" : ", ") + id;
  return Error(ErrorKind::kConflict, "remove " + name + ": volume is in use - [" + ids + "]");
}

using Users = std::map<std::string, std::vector<std::string>>;

// Of each volume, the containers that mount it. Newest first.
Result<Users> volume_users(state::Database& database) {
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database));
  Users users;
  for (const state::ContainerRow& row : rows) {
    if (!row.record.contains("\"Type\":\"volume\"")) continue;
    TRY_CTX(ContainerRecord record, parse_record(row.record),
            "cannot read container '" + row.name + "'");
    std::set<std::string> names;
    for (const MountPoint& mount : record.mounts)
      if (mount.type == "volume" && names.insert(mount.name).second)
        users[mount.name].push_back(record.id);
  }
  return users;
}

}  // namespace

Result<void> LocalEngine::make_volume_dirs(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(fds_.run.get(), "volumes.lock", sys::FileLock::Mode::kShared));
  TRY(sys::Fd all, sys::make_dir_at(fds_.root.get(), "volumes", 0700));
  for (const std::string& name : names) {
    TRY(sys::Fd volume, sys::make_dir_at(all.get(), name, 0700));
    TRY([[maybe_unused]] sys::Fd data, sys::make_dir_at(volume.get(), "_data", 0755));
  }
  return {};
}

// Of volumes whose facts are gone; one that has got a fact again meanwhile stays.
Result<void> LocalEngine::remove_volume_dirs(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  Result<sys::Fd> all = sys::open_at(fds_.root.get(), "volumes", O_RDONLY | O_DIRECTORY);
  if (!all) return all.error().kind() == ErrorKind::kNotFound ? Result<void>() : all.error();
  std::vector<std::string> going;
  {
    TRY(sys::FileLock lock,
        sys::FileLock::acquire(fds_.run.get(), "volumes.lock", sys::FileLock::Mode::kExclusive));
    for (const std::string& name : names) {
      TRY(auto fact, state::get_fact(database_, "volume", name));
      if (fact) continue;
      // No volume's name begins with a dot.
      std::string gone = name.starts_with('.') ? name : ".gone-" + random_id();
      if (gone != name && renameat(all->get(), name.c_str(), all->get(), gone.c_str()) != 0) {
        if (errno == ENOENT) continue;
        return Error::from_errno(errno, "cannot remove the files of volume '" + name + "'");
      }
      going.push_back(std::move(gone));
    }
  }
  TRY_VOID(failpoint("engine.volume.renamed"));
  for (const std::string& name : going)
    TRY_VOID_CTX(sys::remove_tree_at(all->get(), name), "cannot remove a volume's files");
  return {};
}

// Inside the caller's transaction. The names of those that nobody mounts any more.
Result<std::vector<std::string>> LocalEngine::forget_anonymous_volumes(
    const ContainerRecord& record) {
  std::vector<std::string> names;
  for (const MountPoint& mount : record.mounts)
    if (mount.type == "volume" && mount.anonymous) names.push_back(mount.name);
  if (names.empty()) return names;
  TRY(Users users, volume_users(database_));
  std::erase_if(names, [&](const std::string& name) {
    auto found = users.find(name);
    return found != users.end() && std::ranges::any_of(found->second, [&](const std::string& id) {
             return id != record.id;
           });
  });
  for (const std::string& name : names) TRY_VOID(state::delete_fact(database_, "volume", name));
  return names;
}

Result<std::vector<Volume>> LocalEngine::all_volumes() {
  TRY(std::vector<state::Fact> facts, state::list_facts(database_, "volume"));
  TRY(Users users, volume_users(database_));
  std::vector<Volume> volumes;
  for (state::Fact& fact : facts) {
    TRY(Volume volume, parse_volume(std::move(fact.name), fact.document));
    volume.mountpoint = volume_directory(paths_.root, volume.name);
    volume.users = users[volume.name];
    volumes.push_back(std::move(volume));
  }
  return volumes;
}

Result<Volume> LocalEngine::create_volume(const VolumeRequest& request) {
  TraceScope trace("engine.volume.create");
  Volume volume;
  volume.anonymous = request.name.empty();
  volume.name = volume.anonymous ? random_id() : request.name;
  TRY_VOID(check_volume_name(volume.name));
  volume.created = format_rfc3339(wall_clock_ns());
  volume.labels = request.labels;
  {
    TRY(auto transaction, database_.begin());
    TRY(auto known, state::get_fact(database_, "volume", volume.name));
    // Asking for one that is there is fine, and changes nothing.
    if (!known) {
      TRY_VOID(state::put_fact(database_, "volume", {volume.name, volume_document(volume)}));
      TRY_VOID(transaction.commit());
    }
  }
  TRY_VOID(failpoint("engine.volume.recorded"));
  TRY_VOID(make_volume_dirs({volume.name}));
  return this->volume(volume.name);
}

Result<std::vector<Volume>> LocalEngine::volumes(const Filters& filters) {
  TRY(VolumeFilter filter, VolumeFilter::for_list(filters));
  TRY_VOID(recover());
  TRY(std::vector<Volume> volumes, all_volumes());
  std::erase_if(volumes, [&](const Volume& volume) { return !filter.matches(volume); });
  return volumes;
}

Result<Volume> LocalEngine::volume(const std::string& name) {
  TRY(auto fact, state::get_fact(database_, "volume", name));
  if (!fact) return no_such_volume(name);
  TRY(Volume volume, parse_volume(name, *fact));
  TRY(Users users, volume_users(database_));
  volume.mountpoint = volume_directory(paths_.root, name);
  volume.users = std::move(users[name]);
  return volume;
}

Result<void> LocalEngine::remove_volume(const std::string& name, bool force) {
  TraceScope trace("engine.volume.remove");
  // A container that a crash has left half made may still name it.
  TRY_VOID(recover());
  {
    TRY(auto transaction, database_.begin());
    Result<Volume> found = volume(name);
    if (!found && force && found.error().kind() == ErrorKind::kNotFound) return {};
    if (!found) return std::move(found.error());
    if (!found->users.empty()) return in_use(name, found->users);
    TRY_VOID(state::delete_fact(database_, "volume", name));
    TRY_VOID(failpoint("engine.volume.forgetting"));
    TRY_VOID(transaction.commit());
  }
  TRY_VOID(failpoint("engine.volume.forgotten"));
  return remove_volume_dirs({name});
}

Result<Engine::Pruned> LocalEngine::prune_volumes(const Filters& filters) {
  TraceScope trace("engine.volume.prune");
  TRY(VolumeFilter filter, VolumeFilter::for_prune(filters));
  TRY_VOID(recover());
  Pruned pruned;
  {
    TRY(auto transaction, database_.begin());
    TRY(std::vector<Volume> volumes, all_volumes());
    for (const Volume& volume : volumes) {
      bool takes = volume.users.empty() && (volume.anonymous || filter.all());
      if (!takes || !filter.matches(volume)) continue;
      TRY_VOID(state::delete_fact(database_, "volume", volume.name));
      pruned.names.push_back(volume.name);
    }
    if (pruned.names.empty()) return pruned;
    TRY_VOID(transaction.commit());
  }
  TRY_VOID(failpoint("engine.volume.forgotten"));
  for (const std::string& name : pruned.names)
    pruned.bytes += tree_size(volume_directory(paths_.root, name));
  TRY_VOID(remove_volume_dirs(pruned.names));
  return pruned;
}

// Directories without a fact: what a kill between the two has left.
void LocalEngine::sweep_volumes() {
  Result<sys::Fd> all = sys::open_at(fds_.root.get(), "volumes", O_RDONLY | O_DIRECTORY);
  if (!all) return;
  Result<std::vector<std::string>> names = sys::list_dir(all->get());
  if (!names) return;
  std::vector<std::string> ownerless;
  for (const std::string& name : *names) {
    Result<std::optional<std::string>> fact = state::get_fact(database_, "volume", name);
    if (fact && !*fact) ownerless.push_back(name);
  }
  [[maybe_unused]] Result<void> removed = remove_volume_dirs(ownerless);
}

}  // namespace wherry::engine
