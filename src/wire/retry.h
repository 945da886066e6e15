// Whether a failed exchange is worth another try, and when; and what its answer says in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wire/exchange.h"

namespace wherry::wire {

// Five tries more, for what may pass: broken connections, 5xx, 429. Each waits twice as long as
// the one before, or as long as Retry-After says, up to a minute.
class Retries {
 public:
  // `known`: the server has answered before, so that one who cannot be reached may come back.
  Retries(const Patience& patience, bool known) : patience_(&patience), known_(known) {}

  // Milliseconds until the next try; nullopt: it is final.
  std::optional<int64_t> next(const std::optional<Failure>& failure, const Response& response);
  // The last try has brought something: begin to count again.
  void made_progress() {
    used_ = 0;
    known_ = true;
  }

 private:
  const Patience* patience_;
  bool known_;
  int used_ = 0;
  int stalls_ = 0;
};

// For an answer that is not the wanted one: the registry's own code and words, without control
// characters and bounded; kind by status.
Error answer_error(const Response& response, const std::string& domain);
// Foreign text for a message.
std::string shown(std::string_view text);

}  // namespace wherry::wire
