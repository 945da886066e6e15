// Result<T>: a value or an Error. A [[nodiscard]] thin layer on std::expected.
//
//   Result<Fd> fd = open_beneath(dir, "etc/passwd", O_RDONLY);
//   if (!fd) return fail(std::move(fd), "cannot read users");
//   TRY(auto text, read_all(*fd, kLimit));       // returns the error to the caller
//   TRY_VOID(write_all(*fd, text));
#pragma once

#include <expected>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace wherry {

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
 public:
  using std::expected<void, Error>::expected;
  Result(Error error) : std::expected<void, Error>(std::unexpect, std::move(error)) {}
};

// The error of a failed result, with one more line of context.
template <typename T>
Error fail(Result<T>&& result, std::string_view context) {
  return std::move(result.error()).wrap(context);
}

}  // namespace wherry

#define WHERRY_CONCAT_(a, b) a##b
#define WHERRY_CONCAT(a, b) WHERRY_CONCAT_(a, b)
#define WHERRY_TRY_(tmp, declaration, expression)           \
  auto tmp = (expression);                                  \
  if (!tmp) return ::wherry::Error(std::move(tmp.error())); \
  declaration = std::move(*tmp)
// TRY(auto x, f()): declares x from the value of f(), or returns its error.
#define TRY(declaration, expression) \
  WHERRY_TRY_(WHERRY_CONCAT(try_result_, __LINE__), declaration, expression)
// TRY_VOID(f()): returns the error of f(), if any.
#define TRY_VOID(expression)                                                          \
  do {                                                                                \
    auto try_void_result = (expression);                                              \
    if (!try_void_result) return ::wherry::Error(std::move(try_void_result.error())); \
  } while (false)
// As above, adding context: TRY_CTX(auto x, f(), "cannot do 'y'"). The context is evaluated on
// failure only.
#define WHERRY_TRY_CTX_(tmp, declaration, expression, context)            \
  auto tmp = (expression);                                                \
  if (!tmp) return ::wherry::Error(std::move(tmp.error()).wrap(context)); \
  declaration = std::move(*tmp)
#define TRY_CTX(declaration, expression, context) \
  WHERRY_TRY_CTX_(WHERRY_CONCAT(try_result_, __LINE__), declaration, expression, context)
#define TRY_VOID_CTX(expression, context)                                       \
  do {                                                                          \
    auto try_void_result = (expression);                                        \
    if (!try_void_result)                                                       \
      return ::wherry::Error(std::move(try_void_result.error()).wrap(context)); \
  } while (false)
