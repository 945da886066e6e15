#include "monitor/stdio.h"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace wherry::monitor {
namespace {

constexpr size_t kChunk = 32 * 1024;
constexpr size_t kDrainLimit = 4u << 20;  // more than any pipe holds
char buffer[kChunk];                      // one thread, one read at a time

Result<void> set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
    return Error::from_errno(errno, "cannot make a stream nonblocking");
  return {};
}

}  // namespace

Result<void> Stdio::open(bool terminal, bool open_stdin) {
  terminal_ = terminal;
  takes_input_ = open_stdin;
  if (terminal) return {};
  for (int i = 0; i < 2; ++i) {
    TRY(sys::Pipe pipe, sys::make_pipe());
    TRY_VOID(set_nonblocking(pipe.read.get()));
    outputs_[i] = std::move(pipe.read);
    program_ends_[1 + i] = std::move(pipe.write);
  }
  // None for stdin: the runtime takes the container's own null device. With ours a container could
  // chmod that of the host through /proc/self/fd/0.
  if (!open_stdin) return {};
  TRY(sys::Pipe pipe, sys::make_pipe());
  TRY_VOID(set_nonblocking(pipe.write.get()));
  program_ends_[0] = std::move(pipe.read);
  input_ = std::move(pipe.write);
  return {};
}

runtime::Stdio Stdio::program_ends() const {
  return {program_ends_[0].get(), program_ends_[1].get(), program_ends_[2].get()};
}

void Stdio::close_program_ends() {
  for (sys::Fd& end : program_ends_) end.reset();
}

void Stdio::use_console(sys::Fd master) {
  outputs_[0] = std::move(master);
  if (rows_ != 0 || columns_ != 0) [[maybe_unused]]
    Result<void> late = resize(rows_, columns_);
}

Result<void> Stdio::start() {
  if (terminal_) TRY_VOID(set_nonblocking(outputs_[0].get()));
  started_ = true;
  update();
  return {};
}

void Stdio::pause_output(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  update();
}

// A descriptor nobody waits on is taken out altogether: hang-ups are level-triggered, too.
void Stdio::watch(int fd, uint32_t events, EventLoop::Handler handler) {
  if (fd < 0) return;
  if (events == 0) return loop_.remove(fd);
  if (loop_.watches(fd)) return loop_.modify(fd, events);
  [[maybe_unused]] Result<void> added = loop_.add(fd, events, std::move(handler));
}

void Stdio::update() {
  if (!started_) return;
  uint32_t reading = paused_ ? 0u : EPOLLIN;
  uint32_t writing = input_queue_.empty() ? 0u : EPOLLOUT;
  watch(outputs_[0].get(), reading | (terminal_ ? writing : 0u), [this](uint32_t events) {
    if ((events & EPOLLOUT) != 0) write_input();
    if ((events & ~EPOLLOUT) != 0 && outputs_[0]) read_once(0);
  });
  watch(outputs_[1].get(), reading, [this](uint32_t) { read_once(1); });
  watch(input_.get(), writing, [this](uint32_t) { write_input(); });
}

bool Stdio::read_once(int index) {
  sys::Fd& source = outputs_[index];
  if (!source) return false;
  ssize_t got = ::read(source.get(), buffer, kChunk);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got > 0) {
    callbacks_.output(index + 1, std::string_view(buffer, static_cast<size_t>(got)));
    return true;
  }
  // End of file; EIO is how a terminal says that no program has it open any more.
  loop_.remove(source.get());
  source.reset();
  if (terminal_) end_input();
  callbacks_.ended(index + 1);
  return false;
}

bool Stdio::drain() {
  for (int index = 0; index < 2; ++index)
    for (size_t rounds = 0; rounds < kDrainLimit / kChunk && read_once(index); ++rounds) {
    }
  return ended();
}

void Stdio::input(std::string data) {
  if (!takes_input_ || input_eof_ || data.empty()) return;
  input_queued_ += data.size();
  input_queue_.push_back(std::move(data));
  if (started_) write_input();
}

void Stdio::input_eof() {
  if (terminal_ || input_eof_) return;
  input_eof_ = true;
  if (input_queue_.empty()) end_input();
}

void Stdio::write_input() {
  int fd = terminal_ ? outputs_[0].get() : input_.get();
  size_t before = input_queued_;
  while (fd >= 0 && !input_queue_.empty()) {
    const std::string& front = input_queue_.front();
    ssize_t put = ::write(fd, front.data() + input_offset_, front.size() - input_offset_);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) break;
    if (put < 0) {  // EPIPE: the program has closed its stdin
      end_input();
      break;
    }
    input_offset_ += static_cast<size_t>(put);
    input_queued_ -= static_cast<size_t>(put);
    if (input_offset_ < front.size()) continue;
    input_queue_.pop_front();
    input_offset_ = 0;
  }
  if (input_queue_.empty() && input_eof_) end_input();
  update();
  if (input_queued_ < before) callbacks_.input_taken();
}

void Stdio::end_input() {
  takes_input_ = false;
  input_queue_.clear();
  input_offset_ = input_queued_ = 0;
  if (!input_) return;
  loop_.remove(input_.get());
  input_.reset();
}

Result<void> Stdio::resize(uint16_t rows, uint16_t columns) {
  if (!terminal_) return Error(ErrorKind::kInvalidArgument, "cannot resize: there is no terminal");
  rows_ = rows;
  columns_ = columns;
  if (!outputs_[0]) return {};  // applied when the terminal is there
  winsize size{rows, columns, 0, 0};
  if (ioctl(outputs_[0].get(), TIOCSWINSZ, &size) != 0)
    return Error::from_errno(errno, "cannot resize the terminal");
  return {};
}

void Stdio::close() {
  end_input();
  for (sys::Fd& source : outputs_) {
    if (source) loop_.remove(source.get());
    source.reset();
  }
  close_program_ends();
}

}  // namespace wherry::monitor
