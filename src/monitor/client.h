// The client's side: spawn a monitor, or connect to one, and exchange messages.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "monitor/config.h"
#include "monitor/protocol.h"
#include "monitor/standby.h"
#include "sys/fd.h"

namespace wherry::monitor {

class Client {
 public:
  // Gives the monitor its configuration and returns the first connection, after Welcome: the
  // container is created and waits for Start, or the error says why it could not be created (then
  // nothing is left of it).
  static Result<Client> launch(const MonitorConfig& config, Standby standby);
  // As launch, and the program runs: the answer to Start is there too. `first` is said before
  // Start. While the monitor works on the container `permit` does what must be done before anything
  // runs; its error calls the launch off (monitor/permit.h). `config.starts_at_once` must be set.
  static Result<Client> run(const MonitorConfig& config, Standby standby,
                            const std::vector<Message>& first,
                            const std::function<Result<void>()>& permit);
  // Connects to the monitor of a run directory, reached through a directory fd (paths may be long).
  // kNotFound: no monitor listens there.
  static Result<Client> connect(int run_dir_fd);

  Client(Client&&) noexcept = default;
  Client& operator=(Client&&) noexcept = default;

  int fd() const { return socket_.get(); }  // poll for reading
  const Welcome& welcome() const { return welcome_; }
  // Waits until the monitor takes it. Input should be sent only when fd() polls writable: a program
  // that does not read its stdin makes the monitor stop taking messages from clients attached for
  // input. Such clients send Signal over a second connection.
  Result<void> send(const Message& message);
  // The next message; kUnavailable when the monitor has closed the connection.
  Result<Message> receive();
  // Start, Signal and ThawIfGone: sends and waits for Started, Done or Failed; other messages that
  // arrive meanwhile are kept and come from receive() later, in order. Other messages have no
  // answer: just sent.
  Result<void> call(const Message& message);
  // A kept message waits: receive() will not block although fd() may not be readable.
  bool has_pending() const { return !pending_.empty(); }

 private:
  explicit Client(sys::Fd socket) : socket_(std::move(socket)) {}
  static Result<Client> launch_with(const MonitorConfig& config, Standby standby,
                                    const std::vector<Message>& first,
                                    const std::function<Result<void>()>& permit);
  Result<void> expect_welcome();
  Result<void> take_welcome(Message message);
  Result<void> expect_answer();
  Result<void> wait_until_writable();
  Result<Message> read_message();

  sys::Fd socket_;
  Welcome welcome_;
  std::vector<Message> pending_;
  std::string buffer_;
};

}  // namespace wherry::monitor
