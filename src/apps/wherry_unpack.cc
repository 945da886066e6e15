// wherry-unpack's main: confines itself, unpacks or packs, reports. See archive/unpack.h,
// archive/outline.h, archive/objects.h, archive/pack.h and archive/rebuild.h.
//
//   wherry-unpack unpack
//   wherry-unpack outline
//   wherry-unpack objects known|unknown MAX-ENTRIES [OFFSET SIZE] [keep|keep-exact]
//   wherry-unpack rebuild none|gzip|zstd [keep]
//   wherry-unpack add [UID:GID]
//   wherry-unpack pack none|gzip|zstd [seal] [keep]
#include <malloc.h>
#include <unistd.h>

#include <optional>
#include <span>
#include <string_view>

#include "archive/confinement.h"
#include "archive/objects.h"
#include "archive/outline.h"
#include "archive/pack.h"
#include "archive/rebuild.h"
#include "archive/unpack.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "sys/fd.h"

namespace {

using namespace wherry;

constexpr const char* kNotConfined = "cannot confine wherry-unpack";

using Arguments = std::span<char*>;

template <typename T, typename U>
std::string not_confined(Result<U>&& confined) {
  return archive::report_of(Result<T>(fail(std::move(confined), kNotConfined)));
}

// Takes a last word that says what is to be kept: the blob's descriptor, or -1.
int take_keep(Arguments& arguments, archive::UnpackRules* rules) {
  std::string_view last = arguments.empty() ? "" : arguments.back();
  bool exact = rules != nullptr && last == "keep-exact";
  if (!exact && last != "keep") return -1;
  if (rules != nullptr) rules->exact = exact;
  arguments = arguments.first(arguments.size() - 1);
  return archive::kUnpackBlobFd;
}

std::string unpack_into_directory(const archive::UnpackRules& rules) {
  Result<archive::Worker> worker = archive::confine_unpacker(archive::kUnpackDirectoryFd);
  if (!worker) return not_confined<archive::Unpacked>(std::move(worker));
  return archive::report_of(archive::unpack(archive::kUnpackTarFd, archive::kUnpackDirectoryFd,
                                            std::move(*worker), rules));
}

// Each verb gives its report, or nothing when its arguments are wrong.
std::optional<std::string> run_unpack(Arguments arguments) {
  if (!arguments.empty()) return std::nullopt;
  return unpack_into_directory({});
}

std::optional<std::string> run_outline(Arguments arguments) {
  if (!arguments.empty()) return std::nullopt;
  Result<archive::Worker> worker = archive::confine_unpacker(archive::kUnpackDirectoryFd);
  if (!worker) return not_confined<archive::Outline>(std::move(worker));
  return archive::report_of(
      archive::outline(archive::kUnpackTarFd, archive::kUnpackDirectoryFd, std::move(*worker)));
}

std::optional<std::string> run_add(Arguments arguments) {
  archive::UnpackRules rules{.layer = false, .owner = {}};
  if (arguments.size() > 1) return std::nullopt;
  if (arguments.size() == 1) {
    auto [uid_word, gid_word] = split_once(arguments[0], ':');
    std::optional<uint64_t> uid = parse_u64(uid_word), gid = parse_u64(gid_word.value_or(""));
    if (!uid || !gid || *uid >= UINT32_MAX || *gid >= UINT32_MAX) return std::nullopt;
    rules.owner = {static_cast<uint32_t>(*uid), static_cast<uint32_t>(*gid)};
  }
  return unpack_into_directory(rules);
}

std::optional<std::string> run_objects(Arguments arguments) {
  archive::UnpackRules rules;
  int blob = take_keep(arguments, &rules);
  if (arguments.size() != 2 && arguments.size() != 4) return std::nullopt;
  if (arguments.size() == 4) {
    std::optional<uint64_t> offset = parse_u64(arguments[2]), size = parse_u64(arguments[3]);
    if (!offset || !size) return std::nullopt;
    rules.part = {*offset, *size};
  }
  std::string_view known = arguments[0];
  std::optional<uint64_t> limit = parse_u64(arguments[1]);
  if ((known != "known" && known != "unknown") || !limit) return std::nullopt;
  rules.max_entries = *limit;
  int store = known == "known" ? archive::kUnpackStoreFd : -1;
  Result<archive::Worker> worker =
      archive::confine_object_unpacker(archive::kUnpackDirectoryFd, store);
  if (!worker) return not_confined<archive::UnpackedObjects>(std::move(worker));
  return archive::report_of(archive::unpack_objects(
      archive::kUnpackTarFd, archive::kUnpackDirectoryFd, store, blob, std::move(*worker), rules));
}

std::optional<archive::Compression> only_compression(Arguments arguments) {
  if (arguments.size() != 1) return std::nullopt;
  return archive::compression_from_name(arguments[0]);
}

std::optional<std::string> run_rebuild(Arguments arguments) {
  int blob = take_keep(arguments, nullptr);
  auto compression = only_compression(arguments);
  if (!compression) return std::nullopt;
  Result<archive::Worker> worker = archive::confine_rebuilder(archive::kUnpackDirectoryFd);
  if (!worker) return not_confined<archive::Rebuilt>(std::move(worker));
  return archive::report_of(archive::rebuild(archive::kUnpackTarFd, archive::kUnpackDirectoryFd,
                                             *compression, blob, std::move(*worker)));
}

std::optional<std::string> run_pack(Arguments arguments) {
  archive::PackOutput output;
  output.blob = take_keep(arguments, nullptr);
  if (!arguments.empty() && std::string_view(arguments.back()) == "seal") {
    output.record = archive::kPackRecordFd;
    output.recipe = archive::kPackRecipeFd;
    arguments = arguments.first(arguments.size() - 1);
  }
  auto compression = only_compression(arguments);
  if (!compression) return std::nullopt;
  output.compression = *compression;
  auto confined = archive::confine_packer(archive::kUnpackDirectoryFd);
  if (!confined) return not_confined<archive::Packed>(std::move(confined));
  return archive::report_of(archive::pack(archive::kUnpackDirectoryFd, confined->opaque, output,
                                          std::move(confined->worker)));
}

struct Verb {
  std::string_view name;
  std::optional<std::string> (*run)(Arguments);
};
constexpr Verb kVerbs[] = {{"unpack", run_unpack},   {"outline", run_outline}, {"add", run_add},
                           {"objects", run_objects}, {"rebuild", run_rebuild}, {"pack", run_pack}};

int usage() {
  constexpr std::string_view kText =
      "wherry-unpack is a helper of wherry: unpack | outline | add [UID:GID] | "
      "objects known|unknown MAX-ENTRIES [OFFSET SIZE] [keep|keep-exact] | rebuild none|gzip|zstd "
      "[keep] | "
      "pack none|gzip|zstd [seal] [keep]\n";
  static_cast<void>(sys::write_all(2, kText));
  return 2;
}

[[noreturn]] void tell(const std::string& report) {
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
  if (argc < 2) return usage();
  // Best effort: fewer switches between us and who downloads.
  fcntl(archive::kUnpackTarFd, F_SETPIPE_SZ, 1 << 20);
  Arguments arguments = std::span(argv, static_cast<size_t>(argc)).subspan(2);
  for (const Verb& verb : kVerbs) {
    if (verb.name != argv[1]) continue;
    if (std::optional<std::string> report = verb.run(arguments)) tell(*report);
  }
  return usage();
}
