// wherry-unpack's main: confines itself, unpacks or packs, reports. See archive/unpack.h and
// archive/pack.h.
//
//   wherry-unpack unpack [keep|keep-exact]
//   wherry-unpack add [UID:GID]
//   wherry-unpack pack none|gzip|zstd [keep]
#include <malloc.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <string_view>

#include "archive/confinement.h"
#include "archive/pack.h"
#include "archive/unpack.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "sys/fd.h"

namespace {

using namespace wherry;

constexpr const char* kNotConfined = "cannot confine wherry-unpack";

std::string run_unpack(int blob, const archive::UnpackRules& rules) {
  // Best effort: fewer switches between us and who downloads.
  fcntl(archive::kUnpackTarFd, F_SETPIPE_SZ, 1 << 20);
  Result<archive::Worker> worker = archive::confine_unpacker(archive::kUnpackDirectoryFd);
  if (!worker)
    return archive::report_of(Result<archive::Unpacked>(fail(std::move(worker), kNotConfined)));
  return archive::report_of(archive::unpack(archive::kUnpackTarFd, archive::kUnpackDirectoryFd,
                                            blob, std::move(*worker), rules));
}

// What is added to an image: no layer, and its owner if he is given.
std::optional<archive::UnpackRules> add_rules(std::span<char*> arguments) {
  archive::UnpackRules rules{.layer = false, .owner = {}};
  if (arguments.empty()) return rules;
  auto [uid_word, gid_word] = split_once(arguments[0], ':');
  std::optional<uint64_t> uid = parse_u64(uid_word), gid = parse_u64(gid_word.value_or(""));
  if (arguments.size() > 1 || !uid || !gid || *uid >= UINT32_MAX || *gid >= UINT32_MAX)
    return std::nullopt;
  rules.owner = {static_cast<uint32_t>(*uid), static_cast<uint32_t>(*gid)};
  return rules;
}

std::string run_pack(archive::Compression compression, int blob) {
  auto confined = archive::confine_packer(archive::kUnpackDirectoryFd);
  if (!confined)
    return archive::report_of(Result<archive::Packed>(fail(std::move(confined), kNotConfined)));
  return archive::report_of(archive::pack(archive::kUnpackDirectoryFd, confined->opaque,
                                          compression, blob, std::move(confined->worker)));
}

int usage() {
  constexpr std::string_view kText =
      "wherry-unpack is a helper of wherry: unpack [keep|keep-exact] | add [UID:GID] | "
      "pack none|gzip|zstd [keep]\n";
  static_cast<void>(sys::write_all(2, kText));
  return 2;
}

[[noreturn]] int tell(const std::string& report) {
  bool told = sys::write_all(archive::kUnpackReportFd, report).has_value();
  // The other thread may still wait for bytes of an archive that was refused.
  _exit(told ? 0 : 1);
}

}  // namespace

int main(int argc, char** argv) {
  arm_failpoints();
  enable_trace_from_environment();
  // Arenas per thread cost address space, which is bounded.
  mallopt(M_ARENA_MAX, 1);
  std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "add") {
    auto rules = add_rules(std::span(argv, static_cast<size_t>(argc)).subspan(2));
    return rules ? tell(run_unpack(-1, *rules)) : usage();
  }
  int used = verb == "pack" ? 3 : 2;
  std::string_view last = argc == used + 1 ? argv[used] : "";
  bool exact = verb == "unpack" && last == "keep-exact";
  bool keep = exact || last == "keep";
  if (argc != used + (keep ? 1 : 0)) return usage();
  int blob = keep ? archive::kUnpackBlobFd : -1;
  std::string report;
  if (verb == "unpack") {
    report = run_unpack(blob, {.owner = {}, .exact = exact});
  } else if (verb == "pack") {
    auto compression = archive::compression_from_name(argv[2]);
    if (!compression) return usage();
    report = run_pack(*compression, blob);
  } else {
    return usage();
  }
  return tell(report);
}
