#include "build/mount.h"

#include <algorithm>

#include "base/text.h"
#include "build/dockerfile_words.h"

namespace wherry::build {
namespace {

constexpr std::string_view kKeys[] = {"type",      "from",        "source",  "src",      "target",
                                      "dst",       "destination", "ro",      "readonly", "rw",
                                      "readwrite", "id",          "sharing", "required", "size",
                                      "mode",      "uid",         "gid",     "env"};
constexpr std::string_view kTypes[] = {"bind", "cache", "tmpfs", "secret", "ssh"};

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// One record of CSV: quotes around a whole field, doubled within.
Result<std::vector<std::string>> csv_fields(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += c;
      ++i;
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) return invalid("failed to parse csv mounts: a quote is not closed");
  if (fields.size() > 100) return invalid("a mount has more than 100 fields");
  return fields;
}

// One --mount while it is read.
class MountReader {
 public:
  explicit MountReader(const Expander* expander) : expander_(expander) {}

  Result<Mount> run(std::string_view text) {
    TRY(std::vector<std::string> fields, csv_fields(text));
    for (const std::string& field : fields) TRY_VOID(type_field(field));
    for (const std::string& field : fields) TRY_VOID(read_field(field));
    TRY_VOID(check());
    return std::move(mount_);
  }

 private:
  // The type first: it decides which keys there are.
  Result<void> type_field(const std::string& field) {
    auto [key, value] = split_once(field, '=');
    if (to_lower(key) != "type" || !value) return {};
    TRY(std::string type, expanded(*value));
    std::string name = to_lower(type);
    const auto* found = std::ranges::find(kTypes, name);
    if (found == std::end(kTypes))
      return invalid("unsupported mount type '" + type + "'" + did_you_mean(name, kTypes));
    mount_.type = static_cast<MountType>(found - std::begin(kTypes));
    type_name_ = name;
    return {};
  }

  Result<std::string> expanded(std::string_view value) const {
    if (expander_ == nullptr) return std::string(value);
    return expand_word(value, *expander_);
  }

  Result<void> read_field(const std::string& field) {
    auto [raw_key, raw_value] = split_once(field, '=');
    std::string key = to_lower(raw_key);
    if (std::ranges::find(kKeys, key) == std::end(kKeys))
      return invalid("unexpected key '" + key + "' in '" + field + "'" + did_you_mean(key, kKeys));
    TRY_VOID(allowed(key));
    if (key == "from") {
      if (!raw_value) return invalid("invalid field '" + field + "' must be a key=value pair");
      if (raw_value->find('$') != std::string_view::npos)
        return invalid("'from' doesn't support variable expansion, define alias stage instead");
      mount_.from = *raw_value;
      return {};
    }
    if (!raw_value) return bare(key, field);
    TRY(std::string value, expanded(*raw_value));
    bool unknown = expander_ == nullptr && value.find('$') != std::string::npos;
    return set(key, value, unknown);
  }

  Result<void> bare(const std::string& key, const std::string& field) {
    if (key == "ro" || key == "readonly") return set(key, "true", false);
    if (key == "rw" || key == "readwrite" || key == "required") return set(key, "true", false);
    return invalid("invalid field '" + field + "' must be a key=value pair");
  }

  // Which keys a type does not have.
  Result<void> allowed(const std::string& key) const {
    MountType type = mount_.type;
    auto is = [&](auto... types) { return ((type == types) || ...); };
    bool good = true;
    if (key == "mode" || key == "uid" || key == "gid")
      good = is(MountType::kCache, MountType::kSecret, MountType::kSsh);
    if (key == "sharing") good = is(MountType::kCache);
    if (key == "size") good = is(MountType::kTmpfs);
    if (key == "required") good = is(MountType::kSecret, MountType::kSsh);
    if (key == "env") good = is(MountType::kSecret);
    if (key == "id") good = is(MountType::kCache, MountType::kSecret, MountType::kSsh);
    if (key == "from") good = is(MountType::kBind, MountType::kCache);
    if (key == "source" || key == "src")
      good = is(MountType::kBind, MountType::kCache, MountType::kSecret);
    if (key == "ro" || key == "readonly" || key == "rw" || key == "readwrite")
      good = is(MountType::kBind, MountType::kCache);
    if (good) return {};
    return invalid("unexpected key '" + key + "' for mount type '" + type_name_ + "'");
  }

  Result<bool> flag(const std::string& key, const std::string& value) const {
    std::string word = to_lower(value);
    if (word == "true" || word == "1") return true;
    if (word == "false" || word == "0") return false;
    return invalid("invalid value for " + key + ": " + value);
  }

  Result<std::optional<uint32_t>> number(const std::string& key, const std::string& value,
                                         bool octal, uint64_t limit) const {
    auto parsed = octal ? parse_octal(value) : parse_u64(value);
    if (!parsed || *parsed > limit) return invalid("invalid value '" + value + "' for " + key);
    return std::optional<uint32_t>(static_cast<uint32_t>(*parsed));
  }

  Result<void> set(const std::string& key, const std::string& value, bool unknown) {
    if (key == "source" || key == "src") {
      mount_.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      mount_.target = value;
    } else if (key == "id") {
      mount_.id = value;
    } else if (key == "env") {
      if (value.empty() || value.find('=') != std::string::npos)
        return invalid("invalid value '" + value + "' for env");
      mount_.env = value;
    } else if (!unknown) {
      return set_checked(key, value);
    }
    return {};
  }

  Result<void> set_checked(const std::string& key, const std::string& value) {
    if (key == "ro" || key == "readonly") {
      TRY(read_only_, flag(key, value));
    } else if (key == "rw" || key == "readwrite") {
      TRY(bool writable, flag(key, value));
      read_only_ = !writable;
    } else if (key == "required") {
      TRY(mount_.required, flag(key, value));
    } else if (key == "size") {
      mount_.size = parse_byte_size(value);
      if (!mount_.size) return invalid("invalid value for size: " + value);
    } else if (key == "mode") {
      TRY(mount_.mode, number(key, value, /*octal=*/true, 07777));
    } else if (key == "uid") {
      TRY(mount_.uid, number(key, value, /*octal=*/false, UINT32_MAX - 1));
    } else if (key == "gid") {
      TRY(mount_.gid, number(key, value, /*octal=*/false, UINT32_MAX - 1));
    } else if (key == "sharing") {
      constexpr std::string_view kModes[] = {"shared", "private", "locked"};
      const auto* found = std::ranges::find(kModes, to_lower(value));
      if (found == std::end(kModes))
        return invalid("unsupported sharing value '" + value + "'" + did_you_mean(value, kModes));
      mount_.sharing = static_cast<Sharing>(found - std::begin(kModes));
    }
    return {};
  }

  Result<void> check() {
    mount_.read_only = read_only_.value_or(mount_.type == MountType::kBind);
    bool needs_target = mount_.type != MountType::kSecret && mount_.type != MountType::kSsh;
    if (needs_target && mount_.target.empty())
      return invalid("a mount of type '" + type_name_ + "' needs a target")
          .set_hint("add target=/path");
    return mount_.type == MountType::kSecret ? name_secret() : Result<void>();
  }

  // A source is another word for the id; without both it is the target's last name.
  Result<void> name_secret() {
    if (!mount_.source.empty()) mount_.id = mount_.source;
    if (mount_.id.empty()) mount_.id = mount_.target.substr(mount_.target.rfind('/') + 1);
    if (mount_.id.empty()) return invalid("a mount of type 'secret' needs an id or a target");
    return {};
  }

  const Expander* expander_;
  Mount mount_;
  std::string type_name_ = "bind";
  std::optional<bool> read_only_;
};

}  // namespace

std::string_view mount_type_name(MountType type) {
  return kTypes[static_cast<size_t>(type)];
}

Result<Mount> read_mount(std::string_view text, const Expander* expander) {
  return MountReader(expander).run(text);
}

Result<Mount> expand_mount(const RunMount& mount, const Expander& expander) {
  return read_mount(mount.text, &expander);
}

}  // namespace wherry::build
