#include "registry/htpasswd.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "base/clock.h"
#include "base/text.h"
#include "registry/log.h"
#include "sys/fd.h"

namespace wherry::registry {
namespace {

constexpr size_t kMaxFile = 4u << 20;
constexpr size_t kMaxHeader = 4096;
constexpr size_t kMostRemembered = 4096;
constexpr int64_t kRememberNs = 60'000'000'000;
constexpr uint64_t kLeastCost = 4, kMostCost = 14;
// Of no password; what an unknown user is compared with.
constexpr const char* kNobody = "$2b$10$abcdefghijklmnopqrstuuOQZ6qgqXrJ8Hn7sWFlEYXWcBr8UDtQG";

bool valid_hash(std::string_view hash) {
  constexpr size_t kLength = 60;
  if (hash.size() != kLength) return false;
  std::string_view form = hash.substr(0, 4);
  if (form != "$2a$" && form != "$2b$" && form != "$2y$") return false;
  std::optional<uint64_t> cost = parse_u64(hash.substr(4, 2));
  return hash[6] == '$' && cost && *cost >= kLeastCost && *cost <= kMostCost;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::string decoded(text.size() / 4 * 3, '\0');
  int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                               reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  decoded.resize(static_cast<size_t>(length) - padding);
  return decoded;
}

}  // namespace

Result<Users> parse_htpasswd(std::string_view text) {
  Users users;
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    line = trim(line);
    if (line.empty() || line.front() == '#') continue;
    auto [name, hash] = split_once(line, ':');
    std::string where = "line " + std::to_string(number);
    if (!hash || name.empty())
      return Error(ErrorKind::kInvalidArgument, where + " is not 'user:hash'");
    if (!valid_hash(*hash))
      return Error(ErrorKind::kInvalidArgument, where + ": the hash of '" +
                                                    std::string(name.substr(0, 100)) +
                                                    "' is not bcrypt with a cost of 4 to 14")
          .set_hint("make it with 'htpasswd -B'");
    users.insert_or_assign(std::string(name), std::string(*hash));
  }
  return users;
}

std::optional<Credential> parse_basic(std::string_view header) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() > kMaxHeader || to_lower(header.substr(0, kScheme.size())) != kScheme)
    return std::nullopt;
  std::optional<std::string> decoded = decode_base64(trim(header.substr(kScheme.size())));
  if (!decoded || decoded->contains('\0')) return std::nullopt;
  auto [user, password] = split_once(*decoded, ':');
  if (!password || user.empty()) return std::nullopt;
  return Credential{std::string(user), std::string(*password)};
}

bool password_matches(const std::string& password, const std::string& hash) {
  auto data = std::make_unique<crypt_data>();
  const char* computed = crypt_r(password.c_str(), hash.c_str(), data.get());
  if (computed == nullptr) return false;
  std::string_view result = computed;
  bool same =
      result.size() == hash.size() && CRYPTO_memcmp(result.data(), hash.data(), hash.size()) == 0;
  OPENSSL_cleanse(data.get(), sizeof *data);
  return same;
}

Authenticator::Authenticator(std::string path) : path_(std::move(path)) {
  if (RAND_bytes(secret_.data(), static_cast<int>(secret_.size())) != 1) abort();
}

Result<std::unique_ptr<Authenticator>> Authenticator::open(std::string path) {
  std::unique_ptr<Authenticator> made(new Authenticator(std::move(path)));
  std::lock_guard guard(made->mutex_);
  TRY_VOID_CTX(made->load(), "cannot read the users from '" + made->path_ + "'");
  return made;
}

Result<void> Authenticator::load() {
  users_.clear();
  checked_.clear();
  ++generation_;
  TRY(sys::Fd file, sys::open_file(path_, O_RDONLY));
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return Error::from_errno(errno, "cannot stat it");
  stamp_ = {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
  TRY(std::string text, sys::read_all(file.get(), kMaxFile));
  TRY(users_, parse_htpasswd(text));
  return {};
}

// A file that has become unreadable lets nobody in.
void Authenticator::reload_if_changed() {
  struct stat info{};
  Stamp now;
  if (stat(path_.c_str(), &info) == 0)
    now = {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
  if (now == stamp_) return;
  stamp_ = now;
  Result<void> loaded = load();
  if (!loaded) log(Level::kError, "cannot read the users: " + loaded.error().message());
}

Authenticator::Key Authenticator::keyed_hash(std::string_view authorization) const {
  Key key{};
  unsigned length = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
       reinterpret_cast<const unsigned char*>(authorization.data()), authorization.size(),
       key.data(), &length);
  return key;
}

std::optional<bool> Authenticator::known(const std::string* authorization) {
  std::lock_guard guard(mutex_);
  reload_if_changed();
  if (authorization == nullptr || !parse_basic(*authorization)) return false;
  auto found = checked_.find(keyed_hash(*authorization));
  if (found != checked_.end() && found->second > monotonic_ns()) return true;
  return std::nullopt;
}

bool Authenticator::check(const std::string& authorization) {
  std::optional<Credential> credential = parse_basic(authorization);
  if (!credential) return false;
  std::string hash = kNobody;
  uint64_t generation = 0;
  bool exists = false;
  {
    std::lock_guard guard(mutex_);
    auto found = users_.find(credential->user);
    exists = found != users_.end();
    if (exists) hash = found->second;
    generation = generation_;
  }
  bool good = password_matches(credential->password, hash) && exists;
  OPENSSL_cleanse(credential->password.data(), credential->password.size());
  std::lock_guard guard(mutex_);
  if (good && generation == generation_) {
    if (checked_.size() >= kMostRemembered) checked_.clear();
    checked_[keyed_hash(authorization)] = monotonic_ns() + kRememberNs;
  }
  return good;
}

}  // namespace wherry::registry
