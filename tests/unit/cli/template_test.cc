#include "cli/template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace wherry::cli {
namespace {

Json sample() {
  return Json::parse(R"({
    "Name": "/web", "Pid": 42, "Empty": "", "None": null, "Ratio": 1.5,
    "State": {"Running": true, "Status": "running"},
    "Env": ["A=1", "B=2"],
    "Config": {"Labels": {"com.x": "y", "a": "b"}, "Nothing": null},
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null},
    "Networks": {"bridge": {"IPAddress": "172.17.0.2"}, "alpha": {"IPAddress": "10.0.0.2"}}
  })");
}

std::string render(std::string_view text, const TemplateContext& context = {}) {
  auto program = Template::parse(text);
  if (!program) return "parse: " + program.error().message();
  Json data = sample();
  auto out = program->render(data, context);
  return out ? *out : "error: " + out.error().message();
}

struct Case {
  const char* text;
  const char* expected;
};

TEST(Template, RendersWhatScriptsWrite) {
  for (const Case& c : std::vector<Case>{
           {"plain", "plain"},
           {"{{.Name}}", "/web"},
           {"{{.State.Running}} {{.State.Status}}", "true running"},
           {"{{range .Networks}}{{.IPAddress}} {{end}}", "10.0.0.2 172.17.0.2 "},
           {"{{range $k, $v := .Networks}}{{$k}}={{$v.IPAddress}};{{end}}",
            "alpha=10.0.0.2;bridge=172.17.0.2;"},
           {"{{range $i, $e := .Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "},
           {"{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"},
           {"{{index .Ports \"80/tcp\" 0 \"HostPort\"}}", "8080"},
           {"{{index .Config.Labels \"com.x\"}}", "y"},
           {"[{{index .Config.Labels \"missing\"}}]", "[]"},
           {"[{{index .Config.Nothing \"k\"}}]", "[]"},
           {"{{json .Config.Labels}}", "{\"com.x\":\"y\",\"a\":\"b\"}"},
           {"{{json .Name}} {{json .None}}", "\"/web\" null"},
           {"{{.None}}", "<no value>"},
           {"{{.Env}}", "[A=1 B=2]"},
           {"{{.Config.Labels}}", "map[a:b com.x:y]"},
           {"{{if .State.Running}}up{{else}}down{{end}}", "up"},
           {"{{if .Empty}}a{{else if .None}}b{{else}}c{{end}}", "c"},
           {"{{with .State}}{{.Status}}{{end}}", "running"},
           {"{{with .None}}x{{else}}nothing{{end}}", "nothing"},
           {"{{range .None}}x{{else}}none{{end}}", "none"},
           {"{{len .Env}} {{len .Name}} {{len .None}}", "2 4 0"},
           {"{{if and .State.Running (eq .Pid 42)}}yes{{end}}", "yes"},
           {"{{or .Empty \"fallback\"}}", "fallback"},
           {"{{not .State.Running}}", "false"},
           {"{{eq .State.Status \"paused\" \"running\"}} {{ne .Pid 1}} {{lt 1 2}} {{ge 2 2}} {{gt "
            "1 2}} {{le 2 1}}",
            "true true true true false false"},
           {"{{printf \"%s|%5d|%-5s|%05d|%q|%v|%x|%%\" .Name .Pid \"ab\" 7 \"q\" true 255}}",
            "/web|   42|ab   |00007|\"q\"|true|ff|%"},
           {"{{printf \"%.2f %t %.2s\" .Ratio true \"abc\"}}", "1.50 true ab"},
           {"{{printf \"%d\" .Name}}", "%!d(string=/web)"},
           {"{{printf \"%s\"}}", "%!s(MISSING)"},
           {"{{split \"a,b\" \",\" | len}}", "2"},
           {"{{join .Env \"-\"}}", "A=1-B=2"},
           {"{{.Name | upper | lower}} {{title \"ab cd\"}}", "/web Ab Cd"},
           {"{{pad \"x\" 2 1}}|", "  x |"},
           {"{{truncate \"hällo\" 2}}", "hä"},
           {"{{println 1 2}}", "1 2\n"},
           {"{{print \"a\" 1 2 \"b\"}}", "a1 2b"},
           {"a {{- 1 -}} b", "a1b"},
           {"{{/* nothing */}}x", "x"},
           {"{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"},
           {"{{$.Name}}{{range .Env}}{{$.Pid}}{{end}}", "/web4242"},
           {"{{\"a\\tb\\u00e4\"}}{{`raw\\n`}}{{'a'}}", "a\tb\xc3\xa4raw\\n97"},
           {"{{-1}} {{0x10}} {{1.5}}", "-1 16 1.5"},
       })
    EXPECT_EQ(render(c.text), c.expected) << c.text;
}

TEST(Template, SaysWhatIsWrong) {
  for (const Case& c : std::vector<Case>{
           {"{{.Nmae}}", "error: template: map has no entry for key \"Nmae\""},
           {"{{.Name.Sub}}", "error: template: can't evaluate field Sub in a string"},
           {"{{.None.Sub}}", "error: template: nil value evaluating field '.Sub'"},
           {"{{nosuch .Name}}", "parse: template parsing error: function \"nosuch\" not defined"},
           {"{{", "parse: template parsing error: unclosed action"},
           {"{{.Name", "parse: template parsing error: unclosed action"},
           {"{{if .Name}}x", "parse: template parsing error: 'if' without {{end}}"},
           {"{{end}}", "parse: template parsing error: unexpected {{end}}"},
           {"{{\"abc}}", "parse: template parsing error: unterminated quoted string"},
           {"{{index .Env 7}}", "error: template: index: index out of range: 7"},
           {"{{index .Env -1}}", "error: template: index: index out of range: -1"},
           {"{{$y}}", "error: template: undefined variable \"$y\""},
           {"{{define \"x\"}}{{end}}", "parse: template parsing error: 'define' is not supported"},
           {"{{.Name \"arg\"}}",
            "error: template: can't give arguments to '.Name', which is not a function"},
           {"{{eq .Name 1}}",
            "error: template: eq: incompatible types for comparison: string and int"},
           {"{{pad \"x\" -1 0}}", "error: template: pad: -1 is out of range"},
       })
    EXPECT_EQ(render(c.text), c.expected) << c.text;
  auto program = Template::parse("{{.Nmae}}");
  ASSERT_TRUE(program);
  Json data = sample();
  EXPECT_EQ(program->render(data).error().hint(), "did you mean '.Name'?");
}

TEST(Template, AbsentFieldsOfTheModelAreNilWhereTheyAreOptional) {
  constexpr std::string_view kOptional[] = {"Health"};
  TemplateContext context;
  context.optional_fields = kOptional;
  EXPECT_EQ(render("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", context),
            "none");
  EXPECT_NE(render("{{.State.Helth}}", context).find("no entry"), std::string::npos);
}

TEST(Template, LabelIsAMethodOfRowsOnly) {
  Json labels = {{"a", "b"}};
  TemplateContext context;
  context.labels = &labels;
  EXPECT_EQ(render("{{.Label \"a\"}}[{{.Label \"x\"}}]", context), "b[]");
  TemplateContext heading;
  heading.heading = true;
  EXPECT_EQ(render("{{.Label \"a\"}}", heading), "a");
  EXPECT_NE(render("{{.Label \"a\"}}").find("error"), std::string::npos);
}

TEST(Template, BombsEndAtABound) {
  std::string nested;
  for (int i = 0; i < 9; ++i) nested += "{{range $.Env}}";
  // 2^9 is fine; the doubling below is not.
  std::string doubling = "{{$x := \"0123456789\"}}";
  for (int i = 0; i < 40; ++i) doubling += "{{$x = printf \"%s%s\" $x $x}}";
  EXPECT_NE(render(doubling).find("printf: the result is too long"), std::string::npos);
  std::string ranges, ends;
  for (int i = 0; i < 30; ++i) {
    ranges += "{{range $.Env}}";
    ends += "{{end}}";
  }
  EXPECT_NE(render(ranges + ends).find("more than 1000000 steps"), std::string::npos);
  EXPECT_NE(render("{{printf \"%999999999d\" 1}}").find("too large"), std::string::npos);
  EXPECT_NE(render("{{pad \"x\" 100000 0}}").find("more than"), std::string::npos);
  EXPECT_NE(render(std::string(200000, 'x')).find("longer than"), std::string::npos);
  EXPECT_NE(render("{{" + std::string(10000, '(')).find("too deeply nested"), std::string::npos);
  std::string ifs;
  for (int i = 0; i < 500; ++i) ifs += "{{if true}}";
  EXPECT_NE(render(ifs).find("too deeply nested"), std::string::npos);
  std::string elses = "{{if false}}";
  for (int i = 0; i < 500; ++i) elses += "{{else if false}}";
  EXPECT_NE(render(elses + "{{end}}").find("too deeply nested"), std::string::npos);
}

TEST(Template, HostileTextNeverCrashes) {
  for (std::string_view text : {"{{}}",
                                "{{|}}",
                                "{{.|}}",
                                "{{(}}",
                                "{{)}}",
                                "{{.}",
                                "{{-}}",
                                "{{- }}",
                                "{{.a.}}",
                                "{{..}}",
                                "{{$}}",
                                "{{$ := 1}}",
                                "{{range}}",
                                "{{with}}{{end}}",
                                "{{if}}{{end}}",
                                "{{else}}",
                                "{{'}}",
                                "{{''}}",
                                "{{\\}}",
                                "{{\"\\xZZ\"}}",
                                "{{1 | 2}}",
                                "{{99999999999999999999}}",
                                "{{printf \"%\"}}",
                                "{{/*",
                                "{{index}}",
                                "{{\xff}}",
                                "{{len}}",
                                "{{json}}",
                                "{{and}}",
                                "{{split \"a\"}}",
                                "{{range $a, $b, $c := .}}{{end}}"})
    render(text);
  EXPECT_EQ(render("{{$}}").substr(0, 4), "map[");
}

}  // namespace
}  // namespace wherry::cli
