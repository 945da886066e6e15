// What glibc does between a static program's entry and main(), without asking the processor what it
// can do.
//
// glibc 2.36 executes 68 CPUID instructions before main() (on an Intel processor of 2023), 49 of
// them for the sizes of caches. Each one leaves a virtual machine: 6 to 10 us, half a millisecond
// for every program that starts, three fifths of the time of `wherry version`. Nothing here gains
// from the answers: without them string functions take x86-64's baseline (SSE2), and OpenSSL asks
// for itself. On bare metal the difference is some 3 us.
//
// So this file stands in for libc.a's libc-start.o: __libc_start_main of csu/libc-start.c in the
// static case and the variables of sysdeps/x86/cacheinfo.h, with what glibc works out for a
// processor that tells nothing. The order of the steps is that of glibc. Left out: what a dynamic
// linker would want called at the end, and the size of a signal's frame, which the kernel tells
// since 5.14 (AT_MINSIGSTKSZ; we need 6.1). It uses functions of glibc
// that have no public header; CMake takes it for exactly the release that it was written for, on
// x86-64 in static-pie programs, and libc's own start everywhere else.
//
// Until _dl_relocate_static_pie() there are no relocated pointers, and no string function before it
// has chosen them; until __libc_setup_tls() no errno and no stack protector. Not for programs whose
// main() calls pthread_exit().
#include <gnu/libc-version.h>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

static_assert(__GLIBC__ == 2 && __GLIBC_MINOR__ == 36,
              "written for glibc 2.36, see cmake/compiler.cmake");

// NOLINTBEGIN(bugprone-reserved-identifier): names of glibc and of the linker.
#pragma GCC visibility push(hidden)

extern "C" {

using Main = int (*)(int, char**, char**);
using Initializer = void (*)(int, char**, char**);
using Finalizer = void (*)();

// Of csu/, elf/ and nptl/ in libc.a.
extern void* __libc_stack_end;
extern void* _dl_random;  // 16 bytes from the kernel (AT_RANDOM)
extern int __libc_enable_secure;
void _dl_aux_init(void* auxiliary_vector);
void __tunables_init(char** environment);
void _dl_relocate_static_pie();
void __libc_setup_tls();
void __libc_early_init(bool);
void __libc_init_first(int, char**, char**);
void __libc_check_standard_fds();
void* _dl_debug_initialize(std::uintptr_t, long);
int __cxa_atexit(void (*)(void*), void*, void*);

// Of the linker and of crti.o.
extern const Initializer __preinit_array_start[], __preinit_array_end[];
extern const Initializer __init_array_start[], __init_array_end[];
extern const Finalizer __fini_array_start[], __fini_array_end[];
void _init();
void _fini();

// Read by memcpy and its kin; bytes. Above non_temporal_threshold copies go past the caches.
long __x86_data_cache_size_half = 32 * 1024 / 2;
long __x86_data_cache_size = 32 * 1024;
long __x86_shared_cache_size_half = 1024 * 1024 / 2;
long __x86_shared_cache_size = 1024 * 1024;
long __x86_shared_non_temporal_threshold = 1024 * 1024 * 3 / 4;
long __x86_rep_movsb_threshold = 2048;
long __x86_rep_movsb_stop_threshold = 1024 * 1024 * 3 / 4;
long __x86_rep_stosb_threshold = 2048;
int __x86_string_control = 0;

}  // extern "C"

#pragma GCC visibility pop

extern "C" char** __environ;
// NOLINTEND(bugprone-reserved-identifier)

namespace {

// Where the x86-64 ABI keeps them in the thread's control block. The lowest byte of the guard is
// zero, so that no string that overflows can hold it.
void set_guards(const std::uintptr_t* random) {
  asm volatile("mov %0, %%fs:0x28" ::"r"(random[0] & ~std::uintptr_t{0xff}));
  asm volatile("mov %0, %%fs:0x30" ::"r"(random[1]));
}

void finalize(void*) {
  for (const Finalizer* one = __fini_array_end; one != __fini_array_start;) (*--one)();
  _fini();
}

void initialize(int argc, char** argv) {
  for (const Initializer* one = __preinit_array_start; one != __preinit_array_end; ++one)
    (*one)(argc, argv, __environ);
  _init();
  for (const Initializer* one = __init_array_start; one != __init_array_end; ++one)
    (*one)(argc, argv, __environ);
}

}  // namespace

// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" [[noreturn, gnu::used]] int __libc_start_main(Main main, int argc, char** argv,
                                                         void (*)(), void (*)(), void (*)(void*),
                                                         void* stack_end) {
  __environ = argv + argc + 1;
  __libc_stack_end = stack_end;
  char** after = __environ;
  while (*after != nullptr) ++after;
  _dl_aux_init(after + 1);
  __tunables_init(__environ);
  _dl_relocate_static_pie();
  __libc_setup_tls();
  set_guards(static_cast<const std::uintptr_t*>(_dl_random));
  __libc_early_init(true);
  __libc_init_first(argc, argv, __environ);
  __cxa_atexit(finalize, nullptr, nullptr);
  if (__libc_enable_secure != 0) __libc_check_standard_fds();
  initialize(argc, argv);
  _dl_debug_initialize(0, 0);
  std::exit(main(argc, argv, __environ));
}
