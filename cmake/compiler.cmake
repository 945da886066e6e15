# Language level, warnings, hardening and sanitizers for every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_definitions(_GNU_SOURCE WHERRY_VERSION="${PROJECT_VERSION}" FMT_HEADER_ONLY=1)
# Ours by quotes, the system's by angle brackets: src/sys must never hide <sys/...>.
add_compile_options("SHELL:-iquote \"${PROJECT_SOURCE_DIR}/src\"")
add_compile_options(-Wall -Wextra -Werror -Wno-missing-field-initializers -fno-plt
                    -fstack-protector-strong)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-O2 -ffunction-sections -fdata-sections -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,--gc-sections -Wl,-z,relro,-z,now)
  add_compile_definitions(NDEBUG)
endif()
if(WHERRY_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # -O1 takes 2.5 times as long over the JSON library's templates, for tests that are hardly faster.
  add_compile_options(-Og -fno-var-tracking)
  # It asks the kernel through a pipe whether memory can be read: without free descriptors a false alarm.
  add_compile_options(-fno-sanitize=vptr)
  # g++ 12 takes the checks that the sanitizers insert into <regex> for uninitialised reads.
  add_compile_options(-Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(WHERRY_SANITIZED=1)
endif()
# Failpoints cost one relaxed load when no one is armed; they are compiled into every build so that the
# fault tests hit the very programs that users run.
if(WHERRY_FUZZ)
  # clang does not know that libstdc++ 12 may use what it deprecates itself (std::stable_sort).
  add_compile_options(-Wno-deprecated-declarations)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(WHERRY_SANITIZED=1)
endif()
if(WHERRY_TIDY)
  find_program(CLANG_TIDY clang-tidy-19 REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY ${CLANG_TIDY} --warnings-as-errors=* --quiet)
endif()

# Whether src/apps/libc_start.cc may stand in for libc's start: it is written for one release of glibc.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("#include <features.h>
#if !defined(__x86_64__) || __GLIBC__ != 2 || __GLIBC_MINOR__ != 36
#error another libc
#endif
int main() {}" WHERRY_OWN_LIBC_START)

# A program of ours: static-pie in release, ordinary and dynamic under sanitizers.
function(wherry_link_static target)
  if(NOT WHERRY_SANITIZE AND NOT WHERRY_FUZZ)
    target_link_options(${target} PRIVATE -static-pie)
    if(WHERRY_OWN_LIBC_START)
      target_link_libraries(${target} PRIVATE wherry_libc_start)
    endif()
  endif()
endfunction()
