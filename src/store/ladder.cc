#include "store/ladder.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/text.h"
#include "base/trace.h"
#include "store/farm.h"
#include "store/snapshot_look.h"
#include "store/tree_file.h"
#include "sys/file.h"
#include "sys/overlay.h"
#include "sys/sha256.h"
#include "tree/erofs_writer.h"

namespace wherry::store {
namespace {

constexpr std::string_view kProbeText = "wherry";
constexpr size_t kMaxFact = 8192;
// Values of Docker's key, and of its descendants', that somebody may bring along.
constexpr std::string_view kForeign[] = {"aufs",   "btrfs",   "devicemapper",  "fuse-overlayfs",
                                         "native", "overlay", "overlay2",      "overlayfs",
                                         "stargz", "vfs",     "windowsfilter", "zfs"};

// A directory with one file, "file", whose content is the object.
Result<void> write_probe_image(int image, const tree::ObjectId& object) {
  const auto entries = [&object]() -> Result<tree::Entries> {
    auto at = std::make_shared<int>(0);
    auto entry = std::make_shared<tree::Entry>();
    return tree::Entries([at, entry, &object]() -> Result<const tree::Entry*> {
      *entry = tree::Entry{};
      entry->mode = 0755;
      if (++*at == 1) {
        entry->type = tree::Type::kDirectory;
        return entry.get();
      }
      entry->path = "file";
      entry->size = kProbeText.size();
      entry->object = object;
      return *at == 2 ? entry.get() : nullptr;
    });
  };
  const auto sink = [image](uint64_t offset, std::string_view bytes) -> Result<void> {
    if (pwrite(image, bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
        static_cast<ssize_t>(bytes.size()))
      return {};
    return Error::from_errno(errno, "cannot write an image");
  };
  TRY(const uint64_t size, tree::write_erofs(entries, sink));
  if (ftruncate(image, static_cast<off_t>(size)) == 0) return {};
  return Error::from_errno(errno, "cannot write an image");
}

tree::ObjectId probe_object() {
  sys::Sha256 hash;
  hash.update(kProbeText);
  return hash.finish_bytes();
}

Error not_followed(const std::string& what) {
  return Error(ErrorKind::kUnsupported, "an overlay on an image " + what);
}

// Reads, and what a container's change of mode leaves in the upper: a whole file, or the layer that
// is made of it would be wrong.
Result<void> use_probe_mount(int root, int upper) {
  TRY(sys::Fd file, sys::open_at(root, "file", O_RDONLY | O_NOFOLLOW));
  TRY(std::string text, sys::read_all(file.get(), kMaxFact));
  if (text != kProbeText) return not_followed("does not show the objects' contents");
  if (fchmodat(root, "file", 0700, 0) != 0)
    return Error::from_errno(errno, "cannot change a file of an overlay");
  TRY(sys::Fd copied, sys::open_at(upper, "file", O_RDONLY | O_NOFOLLOW));
  TRY(std::string kept, sys::read_all(copied.get(), kMaxFact));
  if (kept != kProbeText || fgetxattr(copied.get(), "trusted.overlay.metacopy", nullptr, 0) >= 0)
    return not_followed("copies files up without their contents");
  return {};
}

Result<void> probe_erofs(int dir, const std::string& scratch) {
  const tree::ObjectId object = probe_object();
  const std::string name = object_name(object);
  TRY(sys::Fd objects, sys::make_dir_at(dir, "objects", 0700));
  TRY(sys::Fd folder, sys::make_dir_at(objects.get(), name.substr(0, 2), 0700));
  TRY(sys::Fd content, sys::open_at(folder.get(), name.substr(3), O_WRONLY | O_CREAT | O_EXCL));
  TRY_VOID(sys::write_all(content.get(), kProbeText));
  TRY(sys::Fd upper, sys::make_dir_at(dir, "upper", 0700));
  TRY(sys::Fd work, sys::make_dir_at(dir, "work", 0700));
  TRY(sys::Fd image, sys::open_at(dir, "image", O_WRONLY | O_CREAT | O_EXCL));
  TRY_VOID(write_probe_image(image.get(), object));
  image.reset();
  TRY(sys::OverlayMount mounted, sys::mount_overlay({.lower = {},
                                                     .metadata = scratch + "/image",
                                                     .objects = scratch + "/objects",
                                                     .upper = scratch + "/upper",
                                                     .work = scratch + "/work",
                                                     .volatile_upper = true}));
  return use_probe_mount(mounted.mount.get(), upper.get());
}

Result<void> probe_farm(int dir) {
  TRY([[maybe_unused]] sys::Fd file, sys::open_at(dir, "one", O_WRONLY | O_CREAT | O_EXCL));
  if (linkat(dir, "one", dir, "two", 0) == 0) return {};
  return Error::from_errno(errno, "cannot make a hard link");
}

Result<void> probe_reflink(int dir) {
  TRY(sys::Fd from, sys::open_at(dir, "from", O_RDWR | O_CREAT | O_EXCL));
  TRY_VOID(sys::write_all(from.get(), kProbeText));
  TRY(sys::Fd to, sys::open_at(dir, "to", O_WRONLY | O_CREAT | O_EXCL));
  if (ioctl(to.get(), FICLONE, from.get()) == 0) return {};
  return Error::from_errno(errno, "cannot make a file that shares another one's blocks");
}

Result<void> probe_layers(int dir) {
  if (mknodat(dir, "gone", S_IFCHR, makedev(0, 0)) != 0)
    return Error::from_errno(errno, "cannot make a whiteout");
  TRY(sys::Fd opaque, sys::make_dir_at(dir, "opaque", 0700));
  if (fsetxattr(opaque.get(), "trusted.overlay.opaque", "y", 1, 0) == 0) return {};
  return Error::from_errno(errno, "cannot make an opaque directory");
}

// A fact's name and what it must begin with to be about this kernel and this root.
struct Fact {
  std::string name;
  std::string about;
};

Result<Fact> fact_of(const std::string& root, std::optional<Rung> forced) {
  utsname kernel{};
  if (uname(&kernel) != 0) return Error::from_errno(errno, "cannot tell the kernel's release");
  Fact fact;
  fact.name = "rung-" + sys::sha256(root).hex().substr(0, 16);
  if (forced) fact.name += "-" + std::string(rung_name(*forced));
  fact.about = std::string(kernel.release) + "\n" + root + "\n";
  return fact;
}

std::optional<Rung> known(int run_root, const Fact& fact) {
  Result<sys::Fd> file = sys::open_at(run_root, fact.name, O_RDONLY | O_NOFOLLOW);
  if (!file) return std::nullopt;
  Result<std::string> text = sys::read_all(file->get(), kMaxFact);
  if (!text || !text->starts_with(fact.about)) return std::nullopt;
  Result<Rung> rung = parse_rung(trim(std::string_view(*text).substr(fact.about.size())));
  return rung ? std::optional(*rung) : std::nullopt;
}

bool is_passing(const Error& error) {
  return error.kind() == ErrorKind::kResourceExhausted || error.errnum() == EIO;
}

Result<Rung> first_that_works(const Places& places, state::Database& database,
                              std::optional<Rung> forced) {
  for (Rung rung : kRungs) {
    if (forced && rung != *forced) continue;
    TRY(Incoming scratch, Incoming::create(places, database));
    Result<void> works = probe_rung(rung, places.root + "/incoming/" + scratch.name());
    if (works) return rung;
    if (is_passing(works.error()))
      return fail(std::move(works), "cannot find out what containers can stand on");
    if (forced)
      return Error(ErrorKind::kUnsupported, "storage-driver '" + std::string(rung_name(rung)) +
                                                "' does not work here: " + works.error().message())
          .set_hint("without the key 'storage-driver' the best that works is chosen");
    if (rung == Rung::kLayers)
      return fail(std::move(works), "this machine has no way to keep images");
  }
  return Error(ErrorKind::kInternal, "the ladder has no rung");
}

// A power cut may leave files of the farm whose bytes never reached the disk. No checkout that was
// acknowledged has one: with what is half-made swept they have one name, and go.
Result<void> forget_torn_farm(const Places& places, state::Database& database) {
  TRY_VOID(sweep_incoming(places, database));
  TRY([[maybe_unused]] FarmSwept swept, sweep_farm(places.root));
  return {};
}

}  // namespace

std::string_view rung_name(Rung rung) {
  switch (rung) {
    case Rung::kErofs:
      return "erofs";
    case Rung::kFarm:
      return "farm";
    case Rung::kReflink:
      return "reflink";
    case Rung::kLayers:
      return "layers";
  }
  return "layers";
}

Result<Rung> parse_rung(std::string_view name) {
  for (Rung rung : kRungs)
    if (name == rung_name(rung)) return rung;
  constexpr const char* kOurs = "erofs, farm, reflink and layers";
  if (std::ranges::find(kForeign, name) != std::end(kForeign))
    return Error(ErrorKind::kUnsupported, "storage-driver '" + std::string(name) +
                                              "' is not one of this engine's, which are " + kOurs)
        .set_hint("leave the key out: the best that works here is chosen");
  Error error(ErrorKind::kInvalidArgument,
              "storage-driver '" + std::string(name) + "' is unknown; there are " + kOurs);
  std::string_view names[std::size(kRungs)];
  std::ranges::transform(kRungs, names, rung_name);
  if (auto near = nearest(name, names))
    error.set_hint("did you mean '" + std::string(*near) + "'?");
  return error;
}

Result<void> probe_rung(Rung rung, const std::string& scratch) {
  TRY(sys::Fd dir, sys::open_file(scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  switch (rung) {
    case Rung::kErofs:
      return probe_erofs(dir.get(), scratch);
    case Rung::kFarm:
      return probe_farm(dir.get());
    case Rung::kReflink:
      return probe_reflink(dir.get());
    case Rung::kLayers:
      break;
  }
  return probe_layers(dir.get());
}

Result<Rung> choose_rung(const Places& places, state::Database& database, int run_root,
                         std::optional<Rung> forced) {
  TRY(const Fact fact, fact_of(places.root, forced));
  if (run_root < 0) return first_that_works(places, database, forced);
  if (std::optional<Rung> rung = known(run_root, fact)) return *rung;
  TraceScope trace("store.ladder.probe");
  TRY(const Rung rung, first_that_works(places, database, forced));
  if (rung == Rung::kFarm) TRY_VOID(forget_torn_farm(places, database));
  forget_set_aside(places, database);
  TRY_VOID(sys::write_file_atomic(run_root, fact.name,
                                  fact.about + std::string(rung_name(rung)) + "\n", 0600,
                                  sys::Sync::kNone));
  return rung;
}

}  // namespace wherry::store
