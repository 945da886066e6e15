#include "build/add.h"

#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "base/trace.h"
#include "build/resolve.h"
#include "sys/sha256.h"
#include "transfer/fetch.h"

namespace wherry::build {
namespace {

constexpr size_t kReadSize = 64u << 10;

// "https://host/path?query#fragment" -> "path".
std::string_view path_of(std::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  url = url.substr(0, url.find_first_of("?#"));
  size_t slash = url.find('/');
  return slash == url.npos ? std::string_view() : url.substr(slash);
}

bool is_git(std::string_view source) {
  if (source.starts_with("git@") || source.starts_with("git://") || source.starts_with("ssh://"))
    return true;
  if (!transfer::is_url(source)) return false;
  return path_of(source).ends_with(".git");
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      std::optional<int> high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high && low) {
        decoded += static_cast<char>(*high * 16 + *low);
        i += 2;
        continue;
      }
    }
    decoded += text[i];
  }
  return decoded;
}

// The body, hashed on its way into the file.
Result<Digest> save(int body, int file) {
  sys::Sha256 hash;
  char buffer[kReadSize];
  for (;;) {
    ssize_t got = read(body, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read the download");
    if (got == 0) return hash.finish();
    std::string_view data(buffer, static_cast<size_t>(got));
    hash.update(data);
    TRY_VOID_CTX(sys::write_all(file, data), "cannot save the download");
  }
}

}  // namespace

std::string name_of_url(std::string_view url) {
  std::string_view path = path_of(url);
  while (path.ends_with('/')) path.remove_suffix(1);
  std::string name = percent_decoded(path.substr(path.rfind('/') + 1));
  bool bad = name.empty() || name == "." || name == ".." ||
             name.find_first_of(std::string_view("/\0", 2)) != std::string::npos;
  return bad ? "__unnamed__" : name;
}

Result<AddSource> classify_add_source(const std::string& source) {
  if (is_git(source))
    return Error(ErrorKind::kUnsupported,
                 "ADD failed: ADD of a git repository is not supported yet: '" + source + "'")
        .set_hint("clone it in a RUN step, or into the build context");
  return transfer::is_url(source) ? AddSource::kUrl : AddSource::kLocal;
}

Result<Download> download(const std::string& url, const std::string& checksum, int directory) {
  TraceScope trace("build.download");
  std::string context = "ADD failed: cannot add '" + escape_name(url) + "'";
  std::optional<Digest> wanted;
  if (!checksum.empty()) {
    TRY_CTX(wanted, Digest::parse(checksum), context + ": --checksum");
  }
  TRY_CTX(sys::Fd file, sys::open_at(directory, ".", O_TMPFILE | O_RDWR, 0600), context);
  TRY_CTX(transfer::Fetch fetch, transfer::fetch_url(url, /*max_bytes=*/0), context);
  TRY_CTX(Digest digest, save(fetch.body(), file.get()), context);
  TRY_CTX(uint64_t size, fetch.finish(), context);
  if (wanted && digest != *wanted)
    return Error(ErrorKind::kCorrupt,
                 context + ": digest mismatch " + digest.str() + ": " + wanted->str())
        .set_hint("the file at the URL is not the one that --checksum names");
  std::string name = name_of_url(url);
  // The same bytes give the same layer, whenever they were fetched.
  TRY_CTX(SourceTree tree,
          SourceTree::file(name, std::move(file), 0600, timespec{}, /*remote=*/true), context);
  return Download{std::move(tree), std::move(name), std::move(digest), size};
}

}  // namespace wherry::build
