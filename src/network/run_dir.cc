#include "network/run_dir.h"

#include <unistd.h>

#include "sys/file.h"

namespace wherry::network {
namespace {

constexpr size_t kMaxLeaseFile = 32 * 1024 * 1024;
constexpr size_t kMaxNote = 4096;
constexpr unsigned kPrivate = 0600;

Result<std::optional<std::string>> read_optional(int dir, const std::string& name, size_t limit) {
  Result<sys::Fd> fd = sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW);
  if (!fd && fd.error().kind() == ErrorKind::kNotFound) return std::optional<std::string>();
  if (!fd) return std::move(fd.error());
  TRY_CTX(std::string text, sys::read_all(fd->get(), limit), "cannot read '" + name + "'");
  return std::optional<std::string>(std::move(text));
}

}  // namespace

Result<RunDir> RunDir::open(int run_root_fd) {
  if (Result<sys::Fd> there = sys::open_at(run_root_fd, "network", O_RDONLY | O_DIRECTORY))
    return RunDir(std::move(*there));
  TRY(sys::Fd fd, sys::make_dir_at(run_root_fd, "network", 0700));
  return RunDir(std::move(fd));
}

Result<sys::FileLock> RunDir::lock() const {
  return sys::FileLock::acquire(fd_.get(), "lock", sys::FileLock::Mode::kExclusive);
}

Result<std::optional<sys::FileLock>> RunDir::try_lock() const {
  return sys::FileLock::try_acquire(fd_.get(), "lock", sys::FileLock::Mode::kExclusive);
}

Result<Leases> RunDir::read_leases() const {
  TRY(std::optional<std::string> text, read_optional(fd_.get(), "leases", kMaxLeaseFile));
  if (!text) return Leases();
  Result<Leases> leases = parse_leases(*text);
  if (!leases)
    return fail(std::move(leases), "cannot read network leases")
        .set_hint("remove the file 'network/leases' below the run root when no container runs");
  return leases;
}

Result<void> RunDir::write_leases(const Leases& leases) const {
  return sys::write_file_atomic(fd_.get(), "leases", format_leases(leases), kPrivate,
                                sys::Sync::kNone);
}

Result<std::optional<std::string>> RunDir::read_note(const std::string& name) const {
  return read_optional(fd_.get(), name, kMaxNote);
}

Result<void> RunDir::write_note(const std::string& name, std::string_view text) const {
  return sys::write_file_atomic(fd_.get(), name, text, kPrivate, sys::Sync::kNone);
}

void RunDir::remove_note(const std::string& name) const {
  (void)unlinkat(fd_.get(), name.c_str(), 0);
}

Result<void> RunDir::remove_temp_files() const {
  return sys::remove_temp_files(fd_.get());
}

}  // namespace wherry::network
