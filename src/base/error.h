// The one error type of the house.
//
// An Error is a closed kind (which maps totally to an exit code, later to an HTTP status and a gRPC
// code), an errno where a system call failed, a message and an optional hint that says what to do.
// Messages are lower case, name the object in single quotes and read outermost action first:
//   cannot start 'web': cannot mount '/data': no such file or directory
// Each floor adds context once, with Error::wrap. Exceptions of libraries end where they are
// called.
#pragma once

#include <string>
#include <string_view>

namespace wherry {

enum class ErrorKind {
  kNotFound,           // the named object does not exist
  kConflict,           // the object exists or is in a state that forbids the action
  kInvalidArgument,    // the caller's input is wrong
  kPermissionDenied,   // the kernel or a policy says no
  kUnavailable,        // try again later: a peer or a lock did not answer
  kResourceExhausted,  // no space, no memory, no addresses, a limit
  kCorrupt,            // stored or received bytes are not what they must be
  kUnsupported,        // not there (yet) on this kernel or in this version
  kInternal,           // a bug of ours
};

// The kind's name in lower case with underscores, e.g. "not_found". Never fails.
std::string_view kind_name(ErrorKind kind);
// The inverse of kind_name; unknown names give kInternal.
ErrorKind kind_from_name(std::string_view name);

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  // An error for a failed system call: kind and text follow from `errnum`.
  // `what` is the action with its object: "cannot open '/a/b'".
  static Error from_errno(int errnum, std::string_view what);

  ErrorKind kind() const { return kind_; }
  int errnum() const { return errnum_; }  // 0 when no system call failed
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }

  Error& set_hint(std::string hint) & {
    hint_ = std::move(hint);
    return *this;
  }
  Error&& set_hint(std::string hint) && {
    hint_ = std::move(hint);
    return std::move(*this);
  }
  Error&& set_errnum(int errnum) && {
    errnum_ = errnum;
    return std::move(*this);
  }

  // "context: message", keeping kind, errno and hint.
  Error wrap(std::string_view context) &&;

 private:
  ErrorKind kind_;
  int errnum_ = 0;
  std::string message_;
  std::string hint_;
};

}  // namespace wherry
