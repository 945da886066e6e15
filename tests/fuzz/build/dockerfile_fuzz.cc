// Dockerfiles: any text parses or is refused with its line; what parses can be planned, applied and
// described without harm.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "build/metadata.h"
#include "build/stages.h"

using namespace wherry::build;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto file = parse_dockerfile(text, {});
  if (!file) return 0;
  auto plan = plan_stages(*file, {});
  if (plan && plan->order.back() != plan->target) abort();
  wherry::oci::ImageConfig image;
  Scope scope({{"A", "1"}}, plan ? plan->global_args : std::map<std::string, std::string>());
  StageMetadata stage{&image, &scope};
  for (const Instruction& instruction : file->instructions) {
    if (instruction.original.find('\n') != std::string::npos) abort();
    auto applied = apply_metadata(instruction, stage);
    if (applied) (void)created_by(instruction, stage);
    if (!image.config.working_dir.empty() && image.config.working_dir.front() != '/') abort();
    // What ONBUILD stores must be readable when an image brings it back.
    const auto* onbuild = std::get_if<Onbuild>(&instruction.what);
    if (onbuild != nullptr && !parse_trigger(onbuild->trigger, {})) abort();
  }
  return 0;
}
