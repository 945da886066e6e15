#include "registry/http_server.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <cerrno>
#include <csignal>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "registry/http_head.h"
#include "registry/log.h"

namespace wherry::registry {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::awaitable, asio::use_awaitable, asio::ip::tcp;
using boost::system::error_code;
using TlsStream = ssl::stream<tcp::socket>;
using Buffer = boost::beast::flat_buffer;
using Parser = http::request_parser<http::buffer_body>;

constexpr int64_t kEndSeconds = 10;
constexpr uint32_t kMaxHead = 32u << 10;
constexpr size_t kBuffer = 128u << 10, kPiece = 256u << 10;
constexpr uint64_t kMaxSendAtOnce = 8u << 20;
// So much of a body that nobody wants is read: a short one to keep the connection, of a long one
// enough that most clients see the answer, which an end with unread bytes would take from them.
constexpr uint64_t kMaxKept = 1u << 20, kMaxLingered = 64u << 20;
constexpr unsigned kDiskThreads = 8, kPasswordThreads = 1, kMostPasswords = 64;

// What the once-a-second look needs to know of a connection.
struct Watched {
  int fd = -1;
  std::atomic<int64_t> deadline = 0;  // monotonic seconds
  std::atomic<bool> idle = true;      // between requests
};

int64_t now_seconds() {
  return monotonic_ns() / 1'000'000'000;
}

// One request on its way: what the access line tells, and whether the connection goes on.
struct Turn {
  Request request;
  Response response;
  bool keep_alive = false;
  int64_t begin_ns = monotonic_ns();
};

// The body of a request as it is read. One with a length bypasses Beast's parser, which would copy
// it once more and in small pieces.
struct Body {
  explicit Body(Parser& of) : parser(of) {
    if (auto length = of.content_length_remaining()) left = *length;
  }
  bool done() const { return left ? *left == 0 : parser.is_done(); }

  Parser& parser;
  std::optional<uint64_t> left;
  std::string piece;
  size_t got = 0;  // of `piece`, by the last read
};

class Server : public HttpServer {
 public:
  Server(const ServerOptions& options, unsigned threads)
      : options_(options),
        threads_(threads),
        io_(static_cast<int>(threads)),
        control_(asio::make_strand(io_)),
        acceptor_(control_),
        disk_(kDiskThreads),
        passwords_(kPasswordThreads),
        slot_free_(control_),
        tick_(control_),
        signals_(control_, SIGTERM, SIGINT) {}

  Result<void> listen();
  std::string address() const override;
  void run(Service& service, std::function<void()> hourly) override;

 private:
  using Connections = std::list<Watched>;

  Result<void> load_tls();
  awaitable<void> accept_loop();
  awaitable<void> every_second(std::function<void()> hourly);
  void look_at_connections();
  void begin_to_end();

  awaitable<void> connection(tcp::socket socket, Connections::iterator watched);
  void forget(Connections::iterator watched);
  template <class Stream>
  awaitable<void> converse(Stream& stream, Watched& watched);
  template <class Stream>
  awaitable<bool> next_request(Stream& stream, Buffer& buffer, Watched& watched);
  template <class Stream>
  awaitable<bool> await_first_byte(Stream& stream, Buffer& buffer, Watched& watched);
  template <class Stream>
  awaitable<bool> read_piece(Stream& stream, Buffer& buffer, Body& body);
  template <class Stream>
  awaitable<bool> serve(Stream& stream, Buffer& buffer, Parser& parser, Turn& turn,
                        Watched& watched);
  template <class Stream>
  awaitable<bool> take_body(Stream& stream, Buffer& buffer, Body& body, Exchange& exchange,
                            Watched& watched);
  template <class Stream>
  awaitable<void> drain(Stream& stream, Buffer& buffer, Body& body, uint64_t limit,
                        Watched& watched);
  template <class Stream>
  awaitable<bool> answer(Stream& stream, Turn& turn, Watched& watched);
  awaitable<bool> send_file(tcp::socket& socket, const FilePart& part, Watched& watched);
  awaitable<bool> send_file(TlsStream& stream, const FilePart& part, Watched& watched);

  awaitable<bool> admitted(const Request& request);
  awaitable<Begun> begin(const Request& request);
  awaitable<Response> finish(Exchange& exchange);

  ServerOptions options_;
  unsigned threads_;
  asio::io_context io_;
  // Everything that is not a connection's own: acceptor, timers, signals.
  asio::strand<asio::io_context::executor_type> control_;
  tcp::acceptor acceptor_;
  std::optional<ssl::context> tls_;
  asio::thread_pool disk_, passwords_;
  std::atomic<unsigned> passwords_waiting_ = 0;
  asio::steady_timer slot_free_, tick_;
  asio::signal_set signals_;
  Service* service_ = nullptr;
  std::mutex mutex_;  // over the list
  Connections connections_;
  std::atomic<bool> ending_ = false;
};

Error listen_error(const error_code& code, const ServerOptions& options) {
  std::string what = "cannot listen on '" + options.host + ":" + std::to_string(options.port) + "'";
  if (code.category() == boost::system::system_category())
    return Error::from_errno(code.value(), what);
  return Error(ErrorKind::kInvalidArgument, what + ": " + code.message());
}

Result<void> Server::listen() {
  error_code code;
  tcp::endpoint endpoint(tcp::v6(), options_.port);
  if (!options_.host.empty()) {
    tcp::resolver resolver(io_);
    auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                  tcp::resolver::passive, code);
    if (code) return listen_error(code, options_);
    endpoint = found.begin()->endpoint();
  }
  acceptor_.open(endpoint.protocol(), code);
  if (code && options_.host.empty()) {  // a kernel without IPv6
    endpoint = tcp::endpoint(tcp::v4(), options_.port);
    acceptor_.open(endpoint.protocol(), code);
  }
  if (!code) acceptor_.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code && endpoint.protocol() == tcp::v6() && options_.host.empty())
    acceptor_.set_option(asio::ip::v6_only(false), code);
  if (!code) acceptor_.bind(endpoint, code);
  if (!code) acceptor_.listen(tcp::acceptor::max_listen_connections, code);
  if (code) return listen_error(code, options_);
  return options_.tls_certificate.empty() ? Result<void>() : load_tls();
}

Result<void> Server::load_tls() {
  tls_.emplace(ssl::context::tls_server);
  error_code code;
  SSL_CTX_set_min_proto_version(tls_->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_options(tls_->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  tls_->use_certificate_chain_file(options_.tls_certificate, code);
  if (code)
    return Error(
        ErrorKind::kInvalidArgument,
        "cannot use the certificate '" + options_.tls_certificate + "': " + code.message());
  tls_->use_private_key_file(options_.tls_key, ssl::context::pem, code);
  if (code || SSL_CTX_check_private_key(tls_->native_handle()) != 1)
    return Error(ErrorKind::kInvalidArgument,
                 "cannot use the key '" + options_.tls_key +
                     "': " + (code ? code.message() : "it is not the certificate's"));
  return {};
}

std::string Server::address() const {
  tcp::endpoint endpoint = acceptor_.local_endpoint();
  std::string host = endpoint.address().to_string();
  if (endpoint.address().is_v6()) host = "[" + host + "]";
  return host + ":" + std::to_string(endpoint.port());
}

void Server::run(Service& service, std::function<void()> hourly) {
  service_ = &service;
  signals_.async_wait([this](const error_code& code, int) {
    if (!code) begin_to_end();
  });
  asio::co_spawn(control_, accept_loop(), asio::detached);
  asio::co_spawn(control_, every_second(std::move(hourly)), asio::detached);
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < threads_; ++i) threads.emplace_back([this] { io_.run(); });
  io_.run();
  threads.clear();
  disk_.join();
  passwords_.join();
}

void Server::begin_to_end() {
  log(Level::kInfo, "ending");
  std::lock_guard guard(mutex_);
  ending_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  slot_free_.cancel();
  int64_t latest = now_seconds() + kEndSeconds;
  for (Watched& watched : connections_) {
    if (watched.idle) ::shutdown(watched.fd, SHUT_RDWR);
    if (watched.deadline > latest) watched.deadline = latest;
  }
  tick_.cancel();
}

// A connection whose time is up, or idle at the end, has its socket shut down: its coroutine then
// meets an error and leaves.
void Server::look_at_connections() {
  std::lock_guard guard(mutex_);
  int64_t now = now_seconds();
  bool full = connections_.size() >= options_.max_connections;
  for (Watched& watched : connections_)
    if (now >= watched.deadline || (watched.idle && (ending_ || full)))
      ::shutdown(watched.fd, SHUT_RDWR);
}

awaitable<void> Server::every_second(std::function<void()> hourly) {
  constexpr int64_t kHour = 3600;
  int64_t next = now_seconds() + kHour;
  for (;;) {
    error_code code;
    tick_.expires_after(std::chrono::seconds(1));
    co_await tick_.async_wait(asio::redirect_error(use_awaitable, code));
    look_at_connections();
    {
      std::lock_guard guard(mutex_);
      if (ending_ && connections_.empty()) break;
    }
    if (now_seconds() < next) continue;
    next = now_seconds() + kHour;
    asio::post(disk_, hourly);
  }
  signals_.cancel();
}

awaitable<void> Server::accept_loop() {
  while (!ending_) {
    bool full = false;
    {
      std::lock_guard guard(mutex_);
      full = connections_.size() >= options_.max_connections;
    }
    error_code code;
    slot_free_.expires_after(std::chrono::seconds(1));
    if (full) {
      co_await slot_free_.async_wait(asio::redirect_error(use_awaitable, code));
      continue;
    }
    tcp::socket socket(asio::make_strand(io_));
    co_await acceptor_.async_accept(socket, asio::redirect_error(use_awaitable, code));
    if (ending_) break;
    if (code) {
      // Out of descriptors: what is open must end first.
      log(Level::kWarning, "cannot accept a connection: " + code.message());
      co_await slot_free_.async_wait(asio::redirect_error(use_awaitable, code));
      continue;
    }
    std::lock_guard guard(mutex_);
    auto watched = connections_.emplace(connections_.end());
    watched->fd = socket.native_handle();
    watched->deadline = now_seconds() + options_.head_seconds;
    auto executor = socket.get_executor();
    asio::co_spawn(executor, connection(std::move(socket), watched), asio::detached);
  }
}

// ---- a connection

awaitable<void> Server::connection(tcp::socket socket, Connections::iterator watched) {
  error_code code;
  socket.set_option(tcp::no_delay(true), code);
  if (tls_) {
    TlsStream stream(std::move(socket), *tls_);
    watched->idle = false;
    co_await stream.async_handshake(ssl::stream_base::server,
                                    asio::redirect_error(use_awaitable, code));
    if (code) {
      log(Level::kDebug, "TLS: " + code.message());
    } else {
      co_await converse(stream, *watched);
      watched->deadline = now_seconds() + kEndSeconds;
      co_await stream.async_shutdown(asio::redirect_error(use_awaitable, code));
    }
    forget(watched);
  } else {
    co_await converse(socket, *watched);
    // Out of the list before the descriptor is closed and its number used again.
    forget(watched);
  }
}

void Server::forget(Connections::iterator watched) {
  {
    std::lock_guard guard(mutex_);
    connections_.erase(watched);
  }
  asio::post(control_, [this] {
    slot_free_.cancel();
    if (ending_) tick_.cancel();
  });
}

template <class Stream>
awaitable<void> Server::converse(Stream& stream, Watched& watched) {
  Buffer buffer(kBuffer);
  buffer.reserve(kBuffer);  // Beast reads no more at once than there is room already
  for (;;) {
    bool more = co_await next_request(stream, buffer, watched);
    if (!more) break;
  }
}

template <class Stream>
awaitable<bool> Server::await_first_byte(Stream& stream, Buffer& buffer, Watched& watched) {
  watched.deadline = now_seconds() + options_.idle_seconds;
  watched.idle = true;
  if (ending_) co_return false;
  error_code code;
  if (buffer.size() == 0) {
    auto space = buffer.prepare(16u << 10);
    size_t got = co_await stream.async_read_some(space, asio::redirect_error(use_awaitable, code));
    buffer.commit(got);
  }
  watched.idle = false;
  watched.deadline = now_seconds() + options_.head_seconds;
  co_return !code;
}

Request request_of(const Parser& parser) {
  const auto& message = parser.get();
  Request request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    std::string name = to_lower(std::string_view(field.name_string()));
    request.headers.emplace_back(std::move(name),
                                 std::string(trim(std::string_view(field.value()))));
  }
  if (auto length = parser.content_length()) request.content_length = *length;
  return request;
}

template <class Stream>
awaitable<bool> Server::next_request(Stream& stream, Buffer& buffer, Watched& watched) {
  bool there = co_await await_first_byte(stream, buffer, watched);
  if (!there) co_return false;
  Parser parser;
  parser.header_limit(kMaxHead);
  parser.body_limit(boost::none);
  error_code code;
  co_await http::async_read_header(stream, buffer, parser,
                                   asio::redirect_error(use_awaitable, code));
  Turn turn;
  if (code) {
    if (code.category() != http::make_error_code(http::error::bad_method).category() ||
        code == http::error::end_of_stream || code == http::error::partial_message)
      co_return false;
    turn.response =
        malformed_request(code == http::error::header_limit ? 431 : 400, code.message());
    co_await answer(stream, turn, watched);
    co_return false;
  }
  turn.request = request_of(parser);
  turn.keep_alive = parser.get().keep_alive();
  watched.deadline = now_seconds() + options_.body_seconds;
  bool more = co_await serve(stream, buffer, parser, turn, watched);
  co_return more;
}

// True: the connection goes on.
template <class Stream>
awaitable<bool> Server::serve(Stream& stream, Buffer& buffer, Parser& parser, Turn& turn,
                              Watched& watched) {
  Body body(parser);
  const std::string* expect = turn.request.header("expect");
  bool waits = expect != nullptr && to_lower(*expect) == "100-continue";
  bool in = co_await admitted(turn.request);
  if (!in) {
    turn.response = service_->unauthorized();
  } else {
    Begun begun = co_await begin(turn.request);
    if (auto* exchange = std::get_if<std::unique_ptr<Exchange>>(&begun)) {
      error_code code;
      if (waits && !body.done())
        co_await asio::async_write(stream, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                                   asio::redirect_error(use_awaitable, code));
      waits = false;
      bool good = co_await take_body(stream, buffer, body, **exchange, watched);
      if (!good) co_return false;
      turn.response = co_await finish(**exchange);
    } else {
      turn.response = std::move(std::get<Response>(begun));
    }
  }
  bool keeps = body.done() || (!waits && body.left.value_or(0) <= kMaxKept);
  if (!keeps || ending_) turn.keep_alive = false;
  bool sent = co_await answer(stream, turn, watched);
  if (!sent || body.done()) co_return sent&& turn.keep_alive;
  if (!turn.keep_alive) ::shutdown(watched.fd, SHUT_WR);
  co_await drain(stream, buffer, body, turn.keep_alive ? kMaxKept : kMaxLingered, watched);
  co_return turn.keep_alive&& body.done();
}

template <class Stream>
awaitable<bool> Server::read_piece(Stream& stream, Buffer& buffer, Body& body) {
  error_code code;
  body.piece.resize(kPiece);
  if (!body.left) {
    auto& sink = body.parser.get().body();
    sink.data = body.piece.data();
    sink.size = body.piece.size();
    sink.more = true;
    co_await http::async_read_some(stream, buffer, body.parser,
                                   asio::redirect_error(use_awaitable, code));
    if (code == http::error::need_buffer) code = {};
    body.got = body.piece.size() - sink.size;
  } else {
    size_t want = std::min<uint64_t>(*body.left, body.piece.size());
    if (buffer.size() > 0) {
      body.got = asio::buffer_copy(asio::buffer(body.piece.data(), want), buffer.data());
      buffer.consume(body.got);
    } else {
      body.got = co_await stream.async_read_some(asio::buffer(body.piece.data(), want),
                                                 asio::redirect_error(use_awaitable, code));
    }
    *body.left -= body.got;
  }
  if (code) log(Level::kDebug, "a body ended early: " + code.message());
  co_return !code;
}

// False: the client has gone or sends nonsense.
template <class Stream>
awaitable<bool> Server::take_body(Stream& stream, Buffer& buffer, Body& body, Exchange& exchange,
                                  Watched& watched) {
  while (!body.done()) {
    bool good = co_await read_piece(stream, buffer, body);
    std::string_view got(body.piece.data(), body.got);
    if (good) watched.deadline = now_seconds() + (ending_ ? kEndSeconds : options_.body_seconds);
    if (!got.empty() && !exchange.write(got)) co_return true;
    if (!good) co_return false;
  }
  co_return true;
}

// Reads up to `limit` bytes away, for ten seconds at most.
template <class Stream>
awaitable<void> Server::drain(Stream& stream, Buffer& buffer, Body& body, uint64_t limit,
                              Watched& watched) {
  watched.deadline = now_seconds() + kEndSeconds;
  for (uint64_t drained = 0; !body.done() && drained < limit; drained += body.got) {
    bool good = co_await read_piece(stream, buffer, body);
    if (!good) co_return;
  }
}

// ---- answers

template <class Stream>
awaitable<bool> Server::answer(Stream& stream, Turn& turn, Watched& watched) {
  watched.deadline = now_seconds() + (ending_ ? kEndSeconds : options_.body_seconds);
  std::string out = response_head(turn.response, options_.common_headers, turn.keep_alive);
  bool with_body = turn.request.method != "HEAD" && turn.response.status != 304;
  if (with_body && !turn.response.file) out += turn.response.body;
  error_code code;
  co_await asio::async_write(stream, asio::buffer(out), asio::redirect_error(use_awaitable, code));
  bool sent = !code;
  if (sent && with_body && turn.response.file)
    sent = co_await send_file(stream, *turn.response.file, watched);
  if (log_enabled(Level::kInfo))
    log(Level::kInfo,
        access_line(turn.request, turn.response.status, with_body ? turn.response.length() : 0,
                    (monotonic_ns() - turn.begin_ns) / 1000, sent));
  co_return sent;
}

awaitable<bool> Server::send_file(tcp::socket& socket, const FilePart& part, Watched& watched) {
  error_code code;
  socket.native_non_blocking(true, code);
  auto offset = static_cast<off_t>(part.offset);
  for (uint64_t left = part.length; left > 0;) {
    ssize_t sent = ::sendfile(socket.native_handle(), part.file->get(), &offset,
                              std::min<uint64_t>(left, kMaxSendAtOnce));
    if (sent > 0) {
      left -= static_cast<uint64_t>(sent);
      watched.deadline = now_seconds() + (ending_ ? kEndSeconds : options_.body_seconds);
      continue;
    }
    if (sent == 0 || (errno != EAGAIN && errno != EINTR)) co_return false;
    co_await socket.async_wait(tcp::socket::wait_write, asio::redirect_error(use_awaitable, code));
    if (code) co_return false;
  }
  co_return true;
}

awaitable<bool> Server::send_file(TlsStream& stream, const FilePart& part, Watched& watched) {
  std::string piece(kPiece, '\0');
  auto offset = static_cast<off_t>(part.offset);
  for (uint64_t left = part.length; left > 0;) {
    ssize_t got =
        pread(part.file->get(), piece.data(), std::min<uint64_t>(left, piece.size()), offset);
    if (got <= 0) co_return false;
    error_code code;
    co_await asio::async_write(stream, asio::buffer(piece.data(), static_cast<size_t>(got)),
                               asio::redirect_error(use_awaitable, code));
    if (code) co_return false;
    left -= static_cast<uint64_t>(got);
    offset += got;
    watched.deadline = now_seconds() + (ending_ ? kEndSeconds : options_.body_seconds);
  }
  co_return true;
}

// ---- the service, on threads where it may wait

awaitable<bool> Server::admitted(const Request& request) {
  Admission quick = service_->admission(request);
  if (quick != Admission::kAskSlowly) co_return quick == Admission::kYes;
  // Whoever floods us with wrong passwords delays others with new ones, nobody else.
  if (passwords_waiting_.fetch_add(1) >= kMostPasswords) {
    --passwords_waiting_;
    co_return false;
  }
  auto check = [](Service* service, const Request* asked) -> awaitable<bool> {
    co_return service->check_credentials(*asked);
  };
  bool good = co_await asio::co_spawn(passwords_, check(service_, &request), use_awaitable);
  --passwords_waiting_;
  co_return good;
}

awaitable<Begun> Server::begin(const Request& request) {
  auto work = [](Service* service, const Request* asked) -> awaitable<Begun> {
    co_return service->begin(*asked);
  };
  Begun begun = co_await asio::co_spawn(disk_, work(service_, &request), use_awaitable);
  co_return begun;
}

awaitable<Response> Server::finish(Exchange& exchange) {
  auto work = [](Exchange* ending) -> awaitable<Response> { co_return ending->finish(); };
  Response response = co_await asio::co_spawn(disk_, work(&exchange), use_awaitable);
  co_return response;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::bind(const ServerOptions& options) {
  unsigned cores = std::thread::hardware_concurrency();
  auto server = std::make_unique<Server>(options, std::clamp(cores, 2u, 8u));
  TRY_VOID(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace wherry::registry
