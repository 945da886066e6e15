// The seam between the protocol and the program that speaks HTTP: requests and answers as plain
// data, bodies as streams. Everything of the protocol compiles and is tested without a socket.
//
// Life of a request: the server reads the head, asks Service::admission (and, where that says so,
// Service::check_credentials), then Service::begin. That answers at once, or gives an Exchange that
// takes the body piece by piece and answers at the end. Source: RFC 9110.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sys/fd.h"

namespace wherry::registry {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // "GET", in capitals
  std::string target;  // as it came: path, '?', query
  Headers headers;     // names in lower case
  std::optional<uint64_t> content_length;

  // The first header of that (lower-case) name, or nullptr.
  const std::string* header(std::string_view name) const;
};

// A part of an open file as the body of an answer.
struct FilePart {
  std::shared_ptr<sys::Fd> file;
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct Response {
  int status = 200;
  Headers headers;  // Content-Length, Connection and Date are the server's
  std::string body;
  std::optional<FilePart> file;  // instead of `body`

  Response& add(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  uint64_t length() const { return file ? file->length : body.size(); }
};

// The words after the status code.
std::string_view reason_phrase(int status);

// A request whose body matters. Destroyed without finish when the client goes away.
class Exchange {
 public:
  virtual ~Exchange() = default;
  // The next piece of the body. False: no more is wanted, finish says why.
  virtual bool write(std::string_view piece) = 0;
  // The answer. May take as long as a disk takes to sync.
  virtual Response finish() = 0;
};

enum class Admission { kYes, kNo, kAskSlowly };

using Begun = std::variant<Response, std::unique_ptr<Exchange>>;

// Called from many threads.
class Service {
 public:
  virtual ~Service() = default;
  // At once, from what is remembered. kAskSlowly: check_credentials must be asked.
  virtual Admission admission(const Request& request) = 0;
  // Takes a tenth of a second of work: the server bounds how many run.
  virtual bool check_credentials(const Request& request) = 0;
  virtual Response unauthorized() = 0;
  virtual Begun begin(const Request& request) = 0;
};

// "%3A" -> ":"; nullopt on a broken escape or an encoded NUL.
std::optional<std::string> percent_decode(std::string_view text);
// The letters, digits and "-._~/:" stay, the rest becomes %XX.
std::string percent_encode(std::string_view text);

}  // namespace wherry::registry
