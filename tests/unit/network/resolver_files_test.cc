#include "network/resolver_files.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wherry::network {
namespace {

TEST(HostsFile, ListsLocalhostThenTheEntries) {
  EXPECT_EQ(hosts_file({{"172.17.0.2", "web web.example"}}, false),
            "127.0.0.1\tlocalhost\n172.17.0.2\tweb web.example\n");
}

TEST(HostsFile, HasDockersIpv6LinesOnlyWithIpv6) {
  EXPECT_EQ(hosts_file({}, true),
            "127.0.0.1\tlocalhost\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::\tip6-localnet\n"
            "ff00::\tip6-mcastprefix\n"
            "ff02::1\tip6-allnodes\n"
            "ff02::2\tip6-allrouters\n");
}

TEST(ResolvConf, DropsServersThatAContainerCannotReach) {
  struct Case {
    const char* host;
    const char* container;
  };
  for (const Case& each : {
           Case{"nameserver 10.0.0.1\n", "nameserver 10.0.0.1\n"},
           Case{"nameserver 127.0.0.1\nnameserver 10.0.0.1\n", "nameserver 10.0.0.1\n"},
           Case{"nameserver\t127.1.2.3\nnameserver ::1\n",
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
           Case{"nameserver fe80::1%eth0\nnameserver 2001:db8::1", "nameserver 2001:db8::1\n"},
           Case{"", "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
           Case{"# nameserver 10.0.0.1\n; x\n\nsearch a.example b.example\noptions ndots:2\n",
                "search a.example b.example\noptions ndots:2\n"
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
           Case{"  nameserver  10.0.0.1  \r\ndomain x\r\n", "nameserver  10.0.0.1\ndomain x\n"},
       })
    EXPECT_EQ(resolv_conf(each.host), each.container) << each.host;
}

TEST(ResolvConf, IsCutAtALineAbove64Kibibytes) {
  std::string host = "nameserver 10.0.0.1\n";
  while (host.size() < 70000) host += "options attempts:1\n";
  std::string text = resolv_conf(host);
  EXPECT_LE(text.size(), 65536u);
  EXPECT_TRUE(text.ends_with("options attempts:1\n"));
  EXPECT_TRUE(text.starts_with("nameserver 10.0.0.1\n"));
}

TEST(ResolvConf, KnowsTheStubOfSystemdResolved) {
  EXPECT_TRUE(is_resolved_stub("# x\nnameserver 127.0.0.53\noptions edns0\n"));
  EXPECT_FALSE(is_resolved_stub("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"));
  EXPECT_FALSE(is_resolved_stub("nameserver 127.0.0.1\n"));
  EXPECT_FALSE(is_resolved_stub(""));
}

}  // namespace
}  // namespace wherry::network
