// OutputFile: a file that appears under its name whole, or not at all.
//
// It is written without a name and gets it at the end, durably; so an end before leaves nothing
// and the old file as it was.
#pragma once

#include <string>

#include "sys/fd.h"

namespace wherry::cli {

class OutputFile {
 public:
  // The folder must be there; a path that is there must be a regular file.
  static Result<OutputFile> create(const std::string& path);
  int fd() const { return file_.get(); }
  Result<void> keep();

 private:
  OutputFile(std::string path, std::string name, sys::Fd folder, sys::Fd file)
      : path_(std::move(path)),
        name_(std::move(name)),
        folder_(std::move(folder)),
        file_(std::move(file)) {}

  std::string path_, name_;
  sys::Fd folder_, file_;
};

}  // namespace wherry::cli
