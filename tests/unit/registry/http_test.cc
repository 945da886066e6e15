#include "registry/http.h"

#include <gtest/gtest.h>

#include "registry/http_head.h"

namespace wherry::registry {
namespace {

TEST(ResponseHead, HasALengthExceptWhereNoneMayBe) {
  Response response;
  response.body = "12345";
  EXPECT_TRUE(response_head(response, {}, true).contains("\r\nContent-Length: 5\r\n"));
  for (int status : {204, 304}) {
    response.status = status;
    EXPECT_FALSE(response_head(response, {}, true).contains("Content-Length")) << status;
  }
}

TEST(ResponseHead, TellsWhenTheConnectionEnds) {
  EXPECT_FALSE(response_head({}, {}, true).contains("Connection"));
  std::string head = response_head({}, {{"X-Common", "yes"}}, false);
  EXPECT_TRUE(head.contains("\r\nConnection: close\r\n"));
  EXPECT_TRUE(head.contains("\r\nX-Common: yes\r\n"));
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST(PercentDecode, TakesWholeEscapesOnly) {
  EXPECT_EQ(percent_decode("a%3Ab%2fc"), "a:b/c");
  for (const char* text : {"%", "%4", "%zz", "%00", "a%2"})
    EXPECT_FALSE(percent_decode(text)) << text;
  EXPECT_EQ(percent_decode(percent_encode("a b\r\n%&ä")), "a b\r\n%&ä");
}

}  // namespace
}  // namespace wherry::registry
