// A client's session with one monitor, of a container or of an exec session, as front ends see it.
#pragma once

#include <functional>
#include <memory>

#include "engine/engine.h"
#include "monitor/client.h"

namespace wherry::engine {

class MonitorSession final : public Session {
 public:
  // `at_end` runs once when the object goes, with whether the end of the process was seen.
  explicit MonitorSession(std::shared_ptr<monitor::Client> client,
                          std::function<void(bool ended)> at_end = {});
  ~MonitorSession() override;
  MonitorSession(const MonitorSession&) = delete;
  MonitorSession& operator=(const MonitorSession&) = delete;

  int fd() const override { return client_->fd(); }
  bool has_pending() const override { return client_->has_pending(); }
  Result<Event> next() override;
  Result<void> write_input(std::string_view data) override;
  Result<void> close_input() override;
  Result<void> resize(uint16_t rows, uint16_t columns) override;
  Result<void> signal(int number) override;

 private:
  std::shared_ptr<monitor::Client> client_;
  std::function<void(bool)> at_end_;
  bool ended_ = false;
};

// Receives until the process has ended. nullopt: not within `timeout_ms` (-1: no limit).
// kUnavailable: the monitor has gone without a word.
Result<std::optional<monitor::Exited>> wait_for_exit(monitor::Client& client, int64_t timeout_ms);

}  // namespace wherry::engine
