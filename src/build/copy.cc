#include "build/copy.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "archive/unpack_client.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "build/archive_file.h"
#include "build/destination.h"
#include "build/file_writer.h"
#include "build/resolve.h"

namespace wherry::build {
namespace {

Error changed(const std::string& path) {
  return Error(ErrorKind::kConflict, "'" + escape_name(path) + "' changed while it was copied")
      .set_hint("build again when nothing writes to the source");
}

class Copier {
 public:
  Copier(const Selection& selection, const CopySpec& spec, int root, int lock,
         uint64_t max_unpacked)
      : selection_(selection),
        spec_(spec),
        root_(root),
        lock_(lock),
        max_unpacked_(max_unpacked),
        writer_(root, report_.warnings) {}

  Result<CopyReport> run() {
    if (spec_.chown) {
      TRY(owner_, resolve_owner(root_, *spec_.chown));
    }
    for (const SelectedSource& source : selection_.sources) {
      TRY_VOID(failpoint("build.copy.source"));
      TRY_VOID(take(source));
    }
    TRY_VOID(writer_.finish());
    return std::move(report_);
  }

 private:
  Owner owner_of(const Entry& entry) const { return owner_.value_or(Owner{entry.uid, entry.gid}); }

  Result<Placement> place_of(const SelectedSource& source, bool as_directory) {
    std::string where = "cannot find the destination '" + escape_name(spec_.destination) + "'";
    Result<Resolved> resolved = resolve_links(root_, spec_.destination);
    // Below a file.
    if (!resolved && resolved.error().errnum() == ENOTDIR)
      return Error(ErrorKind::kInvalidArgument,
                   "cannot copy to non-directory: '" + escape_name(spec_.destination) + "'");
    if (!resolved) return fail(std::move(resolved), where);
    PlaceQuestion question{.instruction = spec_.add ? "ADD" : "COPY",
                           .destination = spec_.destination,
                           .path = resolved->path,
                           .standing = Standing::kMissing,
                           .source_is_directory = as_directory,
                           .name = source.name,
                           .arguments = spec_.sources.size(),
                           .files = files_named()};
    TRY_CTX(question.standing, standing_of(root_, resolved->path), where);
    return place(question);
  }

  size_t files_named() const {
    return static_cast<size_t>(std::ranges::count_if(
        selection_.sources, [](const SelectedSource& source) { return !source.directory; }));
  }

  Result<void> take(const SelectedSource& source) {
    linked_.clear();
    if (source.unpack) {
      TRY(bool done, unpack(source));
      if (done) return {};
    }
    TRY(Placement placement, place_of(source, source.directory));
    TRY_VOID(make_directories(root_, placement.directory, owner_.value_or(Owner{})));
    for (const Entry& entry : source.entries)
      TRY_VOID(take_entry(source, entry, join_path(placement.path, entry.path)));
    return {};
  }

  Result<void> take_entry(const SelectedSource& source, const Entry& entry,
                          const std::string& path) {
    TRY_VOID(failpoint("build.copy.entry"));
    if (entry.links > 1) {
      auto [first, added] = linked_.emplace(std::pair(entry.device, entry.inode), path);
      if (!added) return writer_.hard_link(path, first->second);
    }
    switch (entry.type) {
      case EntryType::kFile:
        return take_file(source, entry, path);
      case EntryType::kDirectory:
        return take_directory(source, entry, path);
      case EntryType::kLink:
        return writer_.link(path, entry, owner_of(entry));
      default:
        return writer_.node(path, entry, owner_of(entry));
    }
  }

  // The file that select() hashed, not another one of the same name or content.
  Result<void> check_unchanged(const SelectedSource& source, const Entry& entry,
                               const std::string& path, int fd) const {
    struct stat status{};
    if (fstat(fd, &status) != 0)
      return Error::from_errno(errno, "cannot look at '" + escape_name(path) + "'");
    // In memory: nobody else has it, and its times are not its own.
    if (source.tree->kind() == SourceTree::Kind::kFiles) return {};
    bool same = source.tree->device_of(status) == entry.device && status.st_ino == entry.inode &&
                static_cast<uint64_t>(status.st_size) == entry.size && S_ISREG(status.st_mode) &&
                nanoseconds(status.st_mtim) == entry.mtime_ns &&
                nanoseconds(status.st_ctim) == entry.ctime_ns;
    return same ? Result<void>() : changed(path);
  }

  Result<void> take_file(const SelectedSource& source, const Entry& entry,
                         const std::string& path) {
    std::string from = join_path(source.base, entry.path);
    TRY(sys::Fd fd, open_source(source, from, O_RDONLY));
    TRY_VOID(check_unchanged(source, entry, from, fd.get()));
    TRY_VOID_CTX(writer_.file(path, entry, owner_of(entry), fd.get()),
                 "cannot copy '" + escape_name(from) + "'");
    TRY_VOID(failpoint("build.copy.copied"));
    TRY_VOID(check_unchanged(source, entry, from, fd.get()));
    ++report_.files;
    report_.bytes += entry.size;
    return {};
  }

  // What is no longer there, or is a link by now, has changed.
  static Result<sys::Fd> open_source(const SelectedSource& source, const std::string& path,
                                     int flags) {
    Result<sys::Fd> fd = source.tree->open(path, flags);
    if (fd) return fd;
    int errnum = fd.error().errnum();
    if (errnum == ENOENT || errnum == ENOTDIR || errnum == ELOOP || errnum == ENXIO)
      return changed(path);
    return fd;
  }

  Result<void> take_directory(const SelectedSource& source, const Entry& entry,
                              const std::string& path) {
    std::vector<Attribute> attributes;
    if (entry.xattrs) {
      std::string from = join_path(source.base, entry.path);
      TRY(sys::Fd fd, open_source(source, from, O_RDONLY | O_DIRECTORY));
      TRY_CTX(attributes, read_attributes(fd.get()), "cannot copy '" + escape_name(from) + "'");
      if (digest_of(attributes) != entry.xattrs) return changed(from);
    }
    return writer_.directory(path, entry, owner_of(entry), attributes);
  }

  // False: it is no archive, and is copied as a file.
  Result<bool> unpack(const SelectedSource& source) {
    if (source.entries.empty()) return false;
    const Entry& entry = source.entries.front();
    TRY(sys::Fd fd, open_source(source, source.base, O_RDONLY));
    TRY_VOID(check_unchanged(source, entry, source.base, fd.get()));
    TRY_CTX(bool archive, looks_like_archive(fd.get()),
            "cannot read '" + escape_name(source.base) + "'");
    if (!archive) return false;
    TRY(Placement placement, place_of(source, /*as_directory=*/true));
    TRY_VOID(make_directories(root_, placement.directory, owner_.value_or(Owner{})));
    archive::UnpackRules rules{.layer = false, .owner = {}};
    rules.max_entries = max_unpacked_;
    if (owner_) rules.owner = {owner_->uid, owner_->gid};
    TRY(sys::Fd directory,
        sys::open_without_links(root_, placement.directory.empty() ? "." : placement.directory,
                                O_RDONLY | O_DIRECTORY));
    if (lseek(fd.get(), 0, SEEK_SET) < 0) return Error::from_errno(errno, "cannot read an archive");
    Result<archive::Unpacked> unpacked = archive::run_unpack(
        {.tar = fd.get(), .directory = directory.get(), .lock = lock_, .rules = rules});
    writer_.forget_places();
    if (!unpacked)
      return fail(std::move(unpacked), "cannot unpack '" + escape_name(source.argument) + "'");
    TRY_VOID(check_unchanged(source, entry, source.base, fd.get()));
    if (!unpacked->archive) return false;
    report_.files += unpacked->entries;
    report_.bytes += unpacked->files_size;
    if (unpacked->dropped_xattrs > 0)
      report_.warnings.push_back(std::to_string(unpacked->dropped_xattrs) +
                                 " extended attributes of '" + escape_name(source.argument) +
                                 "' were not kept");
    return true;
  }

  const Selection& selection_;
  const CopySpec& spec_;
  int root_, lock_;
  uint64_t max_unpacked_;
  CopyReport report_;
  FileWriter writer_;
  std::optional<Owner> owner_;
  // Where the first name of a file with several went, within one source.
  std::map<std::pair<uint64_t, uint64_t>, std::string> linked_;
};

}  // namespace

Result<CopyReport> copy(const Selection& selection, const CopySpec& spec, int root, int lock,
                        uint64_t max_unpacked) {
  TraceScope trace("build.copy");
  Result<CopyReport> report = Copier(selection, spec, root, lock, max_unpacked).run();
  if (!report) return fail(std::move(report), spec.add ? "ADD failed" : "COPY failed");
  return report;
}

}  // namespace wherry::build
