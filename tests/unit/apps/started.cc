// A static program that src/apps/libc_start.cc starts: looks at what main() may rely on. Says each
// thing that is wrong on a line of its own; `started smash` overruns an array, `started guards`
// shows the two random words, `started ends` says in which order it ends, `started streams` whether
// the three streams are open in a program with more rights than its caller.
#include <fcntl.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

int wrong = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::printf("%s\n", what.c_str());
  ++wrong;
}

int made_before_main = 0;
struct Made {
  Made() { ++made_before_main; }
  ~Made() { std::fputs(made_before_main > 1 ? "destroyed\n" : "", stdout); }
} made;

thread_local int local = 17;

// Around every size at which memcpy and its kin change their way.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all;
  for (std::size_t size = 0; size < 300; ++size) all.push_back(size);
  for (std::size_t edge : {512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 524288, 786432,
                           1048576, 4194304, 12582912})
    for (std::size_t size = edge - 2; size <= edge + 2; ++size) all.push_back(size);
  return all;
}

unsigned char pattern(std::size_t at) {
  return static_cast<unsigned char>((at * 131 >> 3) ^ at);
}

bool holds_pattern(const std::vector<unsigned char>& bytes, std::size_t from, std::size_t size,
                   std::size_t shift) {
  for (std::size_t at = 0; at < size; ++at)
    if (bytes[from + at] != pattern(shift + at)) return false;
  return true;
}

void check_copies() {
  constexpr std::size_t kRoom = 64;
  for (std::size_t size : sizes()) {
    for (std::size_t offset : {0, 1, 15, 33}) {
      if (size > 5000000 && offset != 15) continue;  // takes long
      std::vector<unsigned char> from(size + 3 * kRoom), to(size + 3 * kRoom, 0xee);
      for (std::size_t at = 0; at < from.size(); ++at) from[at] = pattern(at);
      void* copied = std::memcpy(to.data() + kRoom + offset, from.data() + 7, size);
      expect(copied == to.data() + kRoom + offset && holds_pattern(to, kRoom + offset, size, 7) &&
                 to[kRoom + offset - 1] == 0xee && to[kRoom + offset + size] == 0xee,
             "memcpy of " + std::to_string(size));
      std::vector<unsigned char> forward = from;
      std::memmove(forward.data() + offset, forward.data() + 40, size);
      expect(holds_pattern(forward, offset, size, 40), "memmove down of " + std::to_string(size));
      std::vector<unsigned char> backward = from;
      std::memmove(backward.data() + 40, backward.data() + offset, size);
      expect(holds_pattern(backward, 40, size, offset), "memmove up of " + std::to_string(size));
      expect(std::memcmp(to.data() + kRoom + offset, from.data() + 7, size) == 0,
             "memcmp of " + std::to_string(size));
      std::memset(to.data() + offset, 0x5a, size);
      expect(std::count(to.begin(), to.end(), 0x5a) >= static_cast<long>(size) &&
                 std::all_of(to.begin() + static_cast<long>(offset),
                             to.begin() + static_cast<long>(offset + size),
                             [](unsigned char one) { return one == 0x5a; }),
             "memset of " + std::to_string(size));
    }
  }
}

void check_strings() {
  for (std::size_t size : sizes()) {
    std::string text(size, 'x');
    volatile std::size_t length = std::strlen(text.c_str());
    expect(length == size, "strlen of " + std::to_string(size));
    text += "yz";
    const char* found = std::strchr(text.c_str(), 'y');
    expect(found == text.c_str() + size, "strchr in " + std::to_string(size));
    std::size_t with_both = size + 2;
    expect(std::memchr(text.data(), 'z', with_both) == text.data() + size + 1,
           "memchr in " + std::to_string(size));
    expect(std::strrchr(text.c_str(), 'z') == text.c_str() + size + 1,
           "strrchr in " + std::to_string(size));
    std::string other = text;
    expect(std::strcmp(text.c_str(), other.c_str()) == 0, "strcmp of " + std::to_string(size));
    other.back() = 'a';
    expect(std::strcmp(text.c_str(), other.c_str()) > 0, "strcmp after " + std::to_string(size));
  }
}

void check_threads() {
  expect(local == 17, "a thread's variable in the first thread");
  local = 18;
  int seen = 0, error = -1;
  errno = ENOENT;
  std::thread other([&] {
    seen = local;
    error = errno;
    errno = EPERM;
  });
  other.join();
  expect(seen == 17, "a thread's variable in another thread");
  expect(error == 0 && errno == ENOENT, "errno of each thread");
  pthread_attr_t attributes;
  std::size_t stack = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstacksize(&attributes, &stack);
  pthread_attr_destroy(&attributes);
  expect(stack >= 64 * 1024, "the first thread's stack");
}

void check_flow() {
  bool caught = false;
  try {
    throw std::runtime_error("thrown");
  } catch (const std::exception& error) {
    caught = std::string(error.what()) == "thrown";
  }
  expect(caught, "an exception");
  std::jmp_buf place;
  volatile int rounds = 0;
  if (setjmp(place) == 0) {
    rounds = rounds + 1;
    std::longjmp(place, 1);
  }
  expect(rounds == 1, "longjmp");
}

void check_surroundings(int argc, char** argv, char** environment) {
  expect(made_before_main == 1, "constructors before main()");
  expect(argc >= 1 && argv[argc] == nullptr && environment == environ, "arguments and environment");
  const char* word = std::getenv("STARTED_TEST");
  expect(word != nullptr && std::string(word) == "a word", "getenv");
  expect(getauxval(AT_PAGESZ) == static_cast<unsigned long>(sysconf(_SC_PAGESIZE)), "getauxval");
  expect(sysconf(_SC_SIGSTKSZ) >= 2048, "the size of a signal's stack");
  std::string big = std::to_string(1.5) + std::to_string(getpid());
  expect(big.starts_with("1.500000"), "a number's text");
}

// The control block's words for the stack protector and for pointers that libc keeps.
void show_guards() {
  std::uintptr_t stack = 0, pointer = 0;
  asm volatile("mov %%fs:0x28, %0" : "=r"(stack));
  asm volatile("mov %%fs:0x30, %0" : "=r"(pointer));
  std::printf("%016lx %016lx\n", static_cast<unsigned long>(stack),
              static_cast<unsigned long>(pointer));
}

[[gnu::noinline]] void smash(std::size_t size) {
  char place[16];
  volatile char* first = place;
  for (std::size_t at = 0; at < size; ++at) first[at] = 'x';
}

}  // namespace

int main(int argc, char** argv, char** environment) {
  std::string what = argc > 1 ? argv[1] : "";
  if (what == "smash") {
    smash(64);
    return 0;
  }
  if (what == "guards") {
    show_guards();
    return 0;
  }
  if (what == "streams") {
    bool open = true;
    for (int fd : {0, 1, 2}) open = open && fcntl(fd, F_GETFD) >= 0;
    return getauxval(AT_SECURE) != 0 && open ? 0 : 1;
  }
  if (what == "ends") {
    made_before_main = 2;
    std::atexit([] { std::puts("first registered"); });
    std::atexit([] { std::puts("second registered"); });
    return 3;
  }
  check_surroundings(argc, argv, environment);
  check_copies();
  check_strings();
  check_threads();
  check_flow();
  return wrong == 0 ? 0 : 1;
}
