// list, inspect, log, attach: looking at containers.
#include <algorithm>

#include "base/trace.h"
#include "engine/filters.h"
#include "engine/local_engine.h"
#include "state/containers.h"

namespace wherry::engine {

Result<std::vector<ContainerRecord>> LocalEngine::list(const ContainerFilter& filter) {
  TraceScope trace("engine.list");
  TRY_VOID(recover());
  FilterContext context;
  context.image_id = [this](const std::string& name) -> std::optional<std::string> {
    Result<store::Image> found = image(name);
    return found ? std::optional(found->id.str()) : std::nullopt;
  };
  context.created = [this](const std::string& name) -> Result<std::string> {
    TRY(ContainerRecord record, find_record(name));
    return record.created;
  };
  TRY(Filter matcher, Filter::compile(filter.filters, context));
  bool all = filter.all || filter.last >= 0 || matcher.wants_stopped();
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database_));
  std::vector<ContainerRecord> records;
  for (const state::ContainerRow& row : rows) {
    TRY_CTX(ContainerRecord record, parse_record(row.record),
            "cannot read container '" + row.name + "'");
    TRY(std::optional<ContainerRecord> now, current(std::move(record)));
    if (!now || (!all && now->state.status != "running" && now->state.status != "paused")) continue;
    if (!matcher.matches(*now)) continue;
    if (filter.last >= 0 && records.size() >= static_cast<size_t>(filter.last)) break;
    records.push_back(std::move(*now));
  }
  return records;
}

Result<ContainerRecord> LocalEngine::inspect(const std::string& name) {
  TRY(ContainerRecord record, find_record(name));
  TRY(std::optional<ContainerRecord> now, current(std::move(record)));
  if (!now) return Error(ErrorKind::kNotFound, "no such container: " + name);
  return std::move(*now);
}

Result<Engine::LogFile> LocalEngine::log(const std::string& name, bool follow) {
  TRY(ContainerRecord record, inspect(name));
  LogFile file{paths_.log_path(record.id), record, {}};
  if (record.host_config.log_config.driver == "none") file.path.clear();
  bool ended = record.state.status != "running" && record.state.status != "paused";
  if (!follow || file.path.empty() || ended) return file;
  TRY(std::optional<monitor::Client> connected, connect(record.id));
  if (!connected) return file;
  // Asked for before the caller reads the file, so that no growth is missed.
  auto client = std::make_shared<monitor::Client>(std::move(*connected));
  TRY_VOID(client->send(monitor::WatchLog{}));
  TRY_VOID(client->send(monitor::WatchExit{}));
  file.wait_for_growth = [client]() -> Result<bool> {
    for (;;) {
      Result<monitor::Message> message = client->receive();
      if (!message) {
        if (message.error().kind() == ErrorKind::kUnavailable) return false;
        return std::move(message.error());
      }
      if (std::holds_alternative<monitor::LogGrew>(*message)) return true;
      if (std::holds_alternative<monitor::Exited>(*message)) return false;
    }
  };
  return file;
}

Result<std::unique_ptr<Session>> LocalEngine::attach(const std::string& name,
                                                     AttachStreams streams) {
  TRY(ContainerRecord record, inspect(name));
  TRY(std::optional<monitor::Client> connected, connect(record.id));
  if (record.state.status == "paused")
    return Error(ErrorKind::kConflict, "You cannot attach to a paused container, unpause it first");
  if (record.state.status != "running" || !connected)
    return Error(ErrorKind::kConflict, "You cannot attach to a stopped container, start it first");
  auto client = std::make_shared<monitor::Client>(std::move(*connected));
  TRY_VOID(client->send(monitor::WatchExit{}));
  TRY_VOID(client->send(monitor::Attach{streams.in, streams.out, streams.err}));
  return std::unique_ptr<Session>(new MonitorSession(std::move(client)));
}

}  // namespace wherry::engine
