// The start of our static programs (src/apps/libc_start.cc) when they get more rights than their
// caller has.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "scratch_directory.h"

namespace wherry {
namespace {

TEST(LibcStart, OpensTheStreamsThatTheCallerOfASetuidProgramHasClosed) {
  const ScratchDirectory scratch;
  const std::string program = scratch.path() + "/started";
  std::filesystem::copy_file(WHERRY_BIN_DIR "/started", program);
  ASSERT_EQ(chmod(scratch.path().c_str(), 0755), 0);
  ASSERT_EQ(chmod(program.c_str(), 04755), 0);
  const pid_t child = fork();
  if (child == 0) {
    for (int fd : {0, 1, 2}) close(fd);
    if (setresuid(65534, 65534, 65534) != 0) _exit(9);
    execl(program.c_str(), "started", "streams", nullptr);
    _exit(8);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace wherry
