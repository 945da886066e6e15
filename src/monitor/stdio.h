// The three streams of a container or exec session: pipes, or the master of its terminal.
//
// Output is read as it comes and handed to one sink; reading can be paused (back-pressure). Input
// is queued and written as the program takes it. Callbacks run from the event loop, which must
// outlive this object.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "monitor/event_loop.h"
#include "runtime/container.h"
#include "sys/fd.h"

namespace wherry::monitor {

class Stdio {
 public:
  static constexpr size_t kInputHigh = 256 * 1024;  // above it clients should not be read
  static constexpr size_t kInputLow = 64 * 1024;

  struct Callbacks {
    std::function<void(int stream, std::string_view data)> output;
    std::function<void(int stream)> ended;  // end of file of one output stream
    std::function<void()> input_taken;      // input_queued() has become smaller
  };

  Stdio(EventLoop& loop, Callbacks callbacks) : loop_(loop), callbacks_(std::move(callbacks)) {}
  Stdio(const Stdio&) = delete;
  Stdio& operator=(const Stdio&) = delete;
  ~Stdio() { close(); }

  // Makes the pipes. Without `open_stdin` the program reads /dev/null. With a terminal: nothing but
  // whether input is taken.
  Result<void> open(bool terminal, bool open_stdin);
  // What the program gets; closed on our side by close_program_ends().
  runtime::Stdio program_ends() const;
  void close_program_ends();
  void use_console(sys::Fd master);
  // Begins to read and write.
  Result<void> start();

  void pause_output(bool paused);
  bool paused() const { return paused_; }
  // Reads what is there now without waiting, even when paused. True when every stream has ended.
  bool drain();
  bool ended() const { return !outputs_[0] && !outputs_[1]; }

  // Dropped when the program takes no input (any more).
  void input(std::string data);
  // Closes the program's stdin behind what is queued. A terminal has no such half: nothing happens.
  void input_eof();
  size_t input_queued() const { return input_queued_; }

  Result<void> resize(uint16_t rows, uint16_t columns);
  void close();

 private:
  bool read_once(int index);  // false: nothing there now
  void write_input();
  void end_input();
  void update();
  void watch(int fd, uint32_t events, EventLoop::Handler handler);

  EventLoop& loop_;
  Callbacks callbacks_;
  bool terminal_ = false;
  bool takes_input_ = false;
  bool started_ = false;
  bool paused_ = false;
  bool input_eof_ = false;
  sys::Fd outputs_[2];  // stdout or the terminal, stderr
  sys::Fd input_;       // never with a terminal
  sys::Fd program_ends_[3];
  std::deque<std::string> input_queue_;
  size_t input_offset_ = 0;
  size_t input_queued_ = 0;
  uint16_t rows_ = 0;
  uint16_t columns_ = 0;
};

}  // namespace wherry::monitor
