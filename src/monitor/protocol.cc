#include "monitor/protocol.h"

#include <nlohmann/json.hpp>

#include "monitor/json_object.h"

namespace wherry::monitor {
namespace {

using nlohmann::json;

// The first byte of a packet. Clients' messages are below 64. Numbers are never reused.
enum class Type : unsigned char {
  kHello = 1,
  kAttach = 2,
  kStart = 3,
  kInput = 4,
  kInputEof = 5,
  kResize = 6,
  kSignal = 7,
  kWatchExit = 8,
  kWatchLog = 9,
  kWillSettle = 10,
  kSettled = 11,
  kThawIfGone = 12,
  kWelcome = 64,
  kStarted = 65,
  kOutput = 66,
  kExited = 67,
  kLogGrew = 68,
  kDone = 69,
  kFailed = 70,
};

constexpr size_t kMaxState = 64 * 1024;

std::string packet(Type type, const json& body) {
  return static_cast<char>(type) + dump_json(body);
}

struct Encoder {
  std::string operator()(const Hello& m) {
    return packet(Type::kHello, {{"protocol", m.protocol}});
  }
  std::string operator()(const Attach& m) {
    return packet(Type::kAttach, {{"in", m.in}, {"out", m.out}, {"err", m.err}});
  }
  std::string operator()(const Start&) { return packet(Type::kStart, json::object()); }
  std::string operator()(const Input& m) { return static_cast<char>(Type::kInput) + m.data; }
  std::string operator()(const InputEof&) { return packet(Type::kInputEof, json::object()); }
  std::string operator()(const Resize& m) {
    return packet(Type::kResize, {{"rows", m.rows}, {"columns", m.columns}});
  }
  std::string operator()(const Signal& m) { return packet(Type::kSignal, {{"number", m.number}}); }
  std::string operator()(const WatchExit&) { return packet(Type::kWatchExit, json::object()); }
  std::string operator()(const WatchLog&) { return packet(Type::kWatchLog, json::object()); }
  std::string operator()(const WillSettle&) { return packet(Type::kWillSettle, json::object()); }
  std::string operator()(const Settled&) { return packet(Type::kSettled, json::object()); }
  std::string operator()(const ThawIfGone& m) { return packet(Type::kThawIfGone, {{"on", m.on}}); }
  std::string operator()(const Welcome& m) {
    return packet(
        Type::kWelcome,
        {{"protocol", m.protocol}, {"status", m.status}, {"warnings", text_values(m.warnings)}});
  }
  std::string operator()(const Started& m) { return packet(Type::kStarted, {{"pid", m.pid}}); }
  std::string operator()(const Output& m) {
    std::string bytes;
    bytes.reserve(m.data.size() + 2);
    bytes += static_cast<char>(Type::kOutput);
    bytes += static_cast<char>(m.stream);
    return bytes += m.data;
  }
  std::string operator()(const Exited& m) {
    return packet(Type::kExited, {{"code", m.code},
                                  {"signal", m.signal},
                                  {"oom_killed", m.oom_killed},
                                  {"finished_ns", m.finished_ns}});
  }
  std::string operator()(const LogGrew&) { return packet(Type::kLogGrew, json::object()); }
  std::string operator()(const Done&) { return packet(Type::kDone, json::object()); }
  std::string operator()(const Failed& m) {
    return packet(Type::kFailed, {{"kind", kind_name(m.error.kind())},
                                  {"errno", m.error.errnum()},
                                  {"message", text_value(m.error.message())},
                                  {"hint", text_value(m.error.hint())}});
  }
};

Result<Message> decode_output(std::string_view body) {
  if (body.empty() || (body[0] != 1 && body[0] != 2))
    return Error(ErrorKind::kCorrupt, "monitor message without a stream");
  return Message(Output{body[0], std::string(body.substr(1))});
}

Message read_failed(ObjectReader& reader) {
  std::string kind, message, hint;
  int errnum = 0;
  reader.read("kind", kind);
  reader.read("errno", errnum);
  reader.read("message", message);
  reader.read("hint", hint);
  return Failed{
      Error(kind_from_name(kind), std::move(message)).set_errnum(errnum).set_hint(std::move(hint))};
}

Message read_exited(ObjectReader& reader) {
  Exited m;
  reader.read("code", m.code);
  reader.read("signal", m.signal);
  reader.read("oom_killed", m.oom_killed);
  reader.read("finished_ns", m.finished_ns);
  return m;
}

template <typename M, typename... Fields>
Message read_fields(ObjectReader& reader, Fields... fields) {
  M message;
  (reader.read(fields.first, message.*(fields.second)), ...);
  return message;
}

Result<Message> read_body(Type type, ObjectReader& reader) {
  using std::pair;
  switch (type) {
    case Type::kHello:
      return read_fields<Hello>(reader, pair("protocol", &Hello::protocol));
    case Type::kAttach:
      return read_fields<Attach>(reader, pair("in", &Attach::in), pair("out", &Attach::out),
                                 pair("err", &Attach::err));
    case Type::kStart:
      return Message(Start{});
    case Type::kInputEof:
      return Message(InputEof{});
    case Type::kResize:
      return read_fields<Resize>(reader, pair("rows", &Resize::rows),
                                 pair("columns", &Resize::columns));
    case Type::kSignal:
      return read_fields<Signal>(reader, pair("number", &Signal::number));
    case Type::kWatchExit:
      return Message(WatchExit{});
    case Type::kWatchLog:
      return Message(WatchLog{});
    case Type::kWillSettle:
      return Message(WillSettle{});
    case Type::kSettled:
      return Message(Settled{});
    case Type::kThawIfGone:
      return read_fields<ThawIfGone>(reader, pair("on", &ThawIfGone::on));
    case Type::kWelcome:
      return read_fields<Welcome>(reader, pair("protocol", &Welcome::protocol),
                                  pair("status", &Welcome::status),
                                  pair("warnings", &Welcome::warnings));
    case Type::kStarted:
      return read_fields<Started>(reader, pair("pid", &Started::pid));
    case Type::kExited:
      return read_exited(reader);
    case Type::kLogGrew:
      return Message(LogGrew{});
    case Type::kDone:
      return Message(Done{});
    case Type::kFailed:
      return read_failed(reader);
    case Type::kInput:
    case Type::kOutput:
      break;  // raw, never here
  }
  return Error(ErrorKind::kUnsupported,
               "monitor message of the unknown type " + std::to_string(static_cast<int>(type)));
}

}  // namespace

std::string encode(const Message& message) {
  return std::visit(Encoder{}, message);
}

Result<Message> decode(std::string_view bytes) {
  if (bytes.empty()) return Error(ErrorKind::kCorrupt, "empty monitor message");
  if (bytes.size() > kMaxPacket) return Error(ErrorKind::kCorrupt, "monitor message is too long");
  Type type = static_cast<Type>(static_cast<unsigned char>(bytes[0]));
  std::string_view body = bytes.substr(1);
  if (type == Type::kInput) return Message(Input{std::string(body)});
  if (type == Type::kOutput) return decode_output(body);
  TRY(json value, parse_json(body, kMaxPacket, "monitor message"));
  ObjectReader reader(value, "a monitor message");
  TRY(Message message, read_body(type, reader));
  TRY_VOID(reader.finish());
  return message;
}

std::string to_json(const RunState& state) {
  return dump_json({{"status", state.status},
                    {"pid", state.pid},
                    {"start_time", state.start_time},
                    {"monitor_pid", state.monitor_pid},
                    {"started_ns", state.started_ns},
                    {"finished_ns", state.finished_ns},
                    {"exit_code", state.exit_code},
                    {"signal", state.signal},
                    {"oom_killed", state.oom_killed},
                    {"error", text_value(state.error)},
                    {"error_kind", state.error_kind}});
}

Result<RunState> parse_run_state(std::string_view text) {
  TRY(json value, parse_json(text, kMaxState, "state of a container"));
  RunState state;
  ObjectReader reader(value, "the state of a container");
  reader.read("status", state.status);
  reader.read("pid", state.pid);
  reader.read("start_time", state.start_time);
  reader.read("monitor_pid", state.monitor_pid);
  reader.read("started_ns", state.started_ns);
  reader.read("finished_ns", state.finished_ns);
  reader.read("exit_code", state.exit_code);
  reader.read("signal", state.signal);
  reader.read("oom_killed", state.oom_killed);
  reader.read("error", state.error);
  reader.read("error_kind", state.error_kind);
  if (state.status != "created" && state.status != "running" && state.status != "exited")
    reader.reject("status", "is not known");
  TRY_VOID(reader.finish());
  return state;
}

}  // namespace wherry::monitor
