// Words: bounded in time and memory, whatever their braces and patterns. Mounts too.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "build/expand.h"

using namespace wherry::build;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const std::vector<std::string> env = {"A=a.b.c", "B=", "C=x y  z", "D=aaaaaaaaaaaaaaaa"};
  Expander words = env_expander(env);
  std::set<std::string> unset;
  words.unset = &unset;
  auto word = expand_word(text, words);
  if (word && word->size() > (2u << 20)) abort();
  auto split = expand_words(text, words);
  if (word.has_value() != split.has_value()) abort();
  if (split)
    for (const std::string& part : *split)
      if (part.empty()) abort();
  (void)expand_text(text, words);
  (void)expand_mount({std::string(text), {}}, words);
  return 0;
}
