// OutputFile: a new file that is written through a buffer. Not synced: who asked for it does that.
#pragma once

#include <string>
#include <string_view>

#include "sys/fd.h"

namespace wherry::archive {

class OutputFile {
 public:
  static Result<OutputFile> open(int directory, const std::string& name) {
    TRY_CTX(sys::Fd file,
            sys::open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
            "cannot make '" + name + "'");
    return OutputFile(std::move(file));
  }
  explicit OutputFile(sys::Fd file) : file_(std::move(file)) {}

  Result<void> write(std::string_view bytes) {
    buffer_ += bytes;
    return buffer_.size() < kBuffer ? Result<void>() : flush();
  }
  Result<void> flush() {
    TRY_VOID_CTX(sys::write_all(file_.get(), buffer_), "cannot write the layer's record");
    buffer_.clear();
    return {};
  }

 private:
  static constexpr size_t kBuffer = 64u << 10;
  sys::Fd file_;
  std::string buffer_;
};

}  // namespace wherry::archive
