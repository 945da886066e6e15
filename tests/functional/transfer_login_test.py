"""login, logout, and credentials on the way to registries: Docker's words, Docker's file, its helpers, mirrors."""
import base64
import json
import os
import pty
import select
import stat

from base import IMAGE
from harness.fake_registry import IDENTITY, FakeRegistry
from transfer_base import PROMPT, RegistryTest

_HELPER = """#!/bin/sh
kept=$(dirname "$0")/kept
case $1 in
  get) cat > /dev/null; if [ -f "$kept" ]; then cat "$kept"; else
       echo "credentials not found in native keychain"; exit 1; fi;;
  store) cat > "$kept";;
  erase) cat > /dev/null; rm -f "$kept";;
esac
"""


class LoginTest(RegistryTest):
    auth = "basic"
    users = {"user": "pass:word"}

    def setUp(self):
        super().setUp()
        self.folder = self.scratch("docker")
        self.env = {**PROMPT, "DOCKER_CONFIG": str(self.folder)}
        self.registry.repository("app").add_image("1", [self.layer("secret")])

    def login(self, *options, input="pass:word\n", server=None):
        return self.w.try_run("login", "-u", "user", "--password-stdin", *options, server or self.registry.host,
                              input=input, env=self.env)

    def logged_in(self, *options):
        done = self.login(*options)
        self.assertEqual((done.returncode, done.stdout), (0, "Login Succeeded\n"), done)
        return done

    def config(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    def pull_app(self):
        return self.w.try_run("pull", self.name("app", "1"), env=self.env)


class Basic(LoginTest):
    def test_login_keeps_the_password_where_docker_does_and_pull_and_push_use_it(self):
        self.assert_fails(self.pull_app(), 1, f"pull access denied for {self.name('app')}",
                          f"wherry login {self.registry.host}")
        done = self.logged_in()
        self.assertIn(f"WARNING! Your credentials are stored unencrypted in '{self.folder}/config.json'.", done.stderr)
        self.assertEqual(self.config(), {"auths": {self.registry.host: {
            "auth": base64.b64encode(b"user:pass:word").decode()}}})
        self.assertEqual(stat.S_IMODE(os.stat(self.folder / "config.json").st_mode), 0o600)
        self.assertEqual(self.pull_app().returncode, 0)
        self.w.ok("tag", IMAGE, self.name("mine", "1"))
        self.w.ok("push", self.name("mine", "1"), env=self.env)
        self.w.ok("rmi", self.name("mine", "1"))
        done = self.w.ok("logout", self.registry.host, env=self.env)
        self.assertEqual(done, f"Removing login credentials for {self.registry.host}\n")
        self.assertEqual(self.config(), {"auths": {}})
        self.assertEqual(self.w.ok("logout", self.registry.host, env=self.env),
                         f"Not logged in to {self.registry.host}\n")

    def test_a_wrong_password_is_the_registrys_word_and_nothing_is_kept(self):
        done = self.login(input="wrong")
        self.assert_fails(done, 1, self.registry.host, "unauthorized")
        self.assertEqual(done.stdout, "")
        self.assertFalse((self.folder / "config.json").exists())

    def test_p_works_and_warns(self):
        done = self.w.try_run("login", "-u", "user", "-p", "pass:word", self.registry.host, env=self.env)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.", done.stderr)

    def test_what_is_kept_is_tried_when_nothing_is_given(self):
        self.logged_in()
        done = self.w.try_run("login", self.registry.host, env=self.env)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, "Login Succeeded"), done)
        self.registry.users = {"user": "changed"}
        self.assert_fails(self.w.try_run("login", self.registry.host, env=self.env), 1, "unauthorized")

    def test_other_keys_of_the_file_stay(self):
        (self.folder / "config.json").write_text(json.dumps(
            {"psFormat": "table {{.ID}}", "auths": {"other.example": {"auth": "dTpw"}}, "HttpHeaders": {"A": "b"}}))
        self.logged_in()
        kept = self.config()
        self.assertEqual(list(kept), ["psFormat", "auths", "HttpHeaders"])
        self.assertEqual(sorted(kept["auths"]), sorted(["other.example", self.registry.host]))

    def test_a_damaged_file_is_named_with_the_place_and_left_alone(self):
        (self.folder / "config.json").write_text('{"auths": {')
        for command in (["login", "-u", "user", "-p", "pass:word", self.registry.host],
                        ["logout", self.registry.host], ["pull", self.name("app", "1")]):
            with self.subTest(command[0]):
                self.assert_fails(self.w.try_run(*command, env=self.env), 1, f"{self.folder}/config.json", "byte 12")
        self.assertEqual((self.folder / "config.json").read_text(), '{"auths": {')

    def test_wrong_use_has_dockers_words(self):
        host = self.registry.host
        for options, words in ((["-p", "x", "--password-stdin", "-u", "user"], "mutually exclusive"),
                               (["--password-stdin"], "requires --username"),
                               ([], "cannot perform an interactive login from a non-TTY device"),
                               (["-u", "user"], "cannot perform an interactive login from a non-TTY device")):
            with self.subTest(options):
                self.assert_fails(self.w.try_run("login", *options, host, env=self.env), 1, words)
        self.assert_fails(self.login(input=""), 1, "password is empty")
        self.assert_fails(self.login(server="bad host/x"), 1, "bad host")

    def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new(self):
        (self.folder / "config.json").write_text('{"psFormat": "x"}')
        for point in ("transfer.credentials.before", "file.opened", "file.written", "file.synced", "file.renamed",
                      "transfer.credentials.after"):
            with self.subTest(point):
                (self.folder / "config.json").write_text('{"psFormat": "x"}')
                self.env["WHERRY_FAILPOINT"] = f"{point}:kill"
                self.assertEqual(self.login().returncode, -9)
                del self.env["WHERRY_FAILPOINT"]
                self.assertEqual(self.config()["psFormat"], "x")
                self.logged_in()
                self.assertIn(self.registry.host, self.config()["auths"])

    def test_on_a_terminal_name_and_password_are_asked_for_without_echo(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.w.program, self.w.command("login", self.registry.host), self.w.environment(self.env))
        shown = self.talk(terminal, [("Username: ", b"user\n"), ("Password: ", b"pass:word\n")])
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, shown)
        self.assertIn("Login Succeeded", shown)
        self.assertIn("user", shown)
        self.assertNotIn("pass:word", shown)

    def test_ctrl_c_at_the_password_ends_it_with_130_and_the_echo_back(self):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.w.program, self.w.command("login", "-u", "user", self.registry.host),
                      self.w.environment(self.env))
        self.talk(terminal, [("Password: ", b"\x03")])
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 130)
        self.assertFalse((self.folder / "config.json").exists())

    def talk(self, terminal: int, dialogue) -> str:
        """Answers each question when it has been asked; all that was shown, to the end."""
        shown = ""
        dialogue = list(dialogue)
        while True:
            ready, _, _ = select.select([terminal], [], [], 20)
            self.assertTrue(ready, f"nothing more after: {shown!r}")
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                return shown
            if not data:
                return shown
            shown += data.decode()
            if dialogue and shown.endswith(dialogue[0][0]):
                os.write(terminal, dialogue.pop(0)[1])


class Tokens(LoginTest):
    auth = "token"

    def test_the_token_service_is_asked_with_the_password_and_the_registry_with_the_token(self):
        self.assert_fails(self.pull_app(), 1, "pull access denied")
        self.assert_fails(self.login(input="wrong"), 1, "unauthorized")
        self.logged_in()
        self.assertEqual(self.pull_app().returncode, 0)
        self.w.ok("tag", IMAGE, self.name("mine", "1"))
        self.w.ok("push", self.name("mine", "1"), env=self.env)
        self.w.ok("rmi", self.name("mine", "1"))
        self.assertTrue(any(given.startswith("Bearer ") for given in self.registry.authorizations))
        basic = [request for request, given in zip(self.registry.requests, self.registry.authorizations)
                 if given.startswith("Basic ")]
        self.assertTrue(basic and all("/token" in request for request in basic), basic)

    def test_an_identity_token_is_kept_instead_of_the_password_and_is_what_opens_the_door(self):
        self.logged_in()
        entry = self.config()["auths"][self.registry.host]
        self.assertEqual(entry, {"auth": base64.b64encode(b"user:").decode(), "identitytoken": IDENTITY})
        self.registry.requests.clear()
        self.registry.users = {"user": "changed"}
        self.assertEqual(self.pull_app().returncode, 0)
        self.assertTrue(self.registry.asked("POST /token"))
        # Taken back by the registry.
        entry["identitytoken"] = "forged"
        (self.folder / "config.json").write_text(json.dumps({"auths": {self.registry.host: entry}}))
        self.remove_images()
        self.assert_fails(self.pull_app(), 1, "pull access denied", f"wherry login {self.registry.host}")


class Helpers(LoginTest):
    def setUp(self):
        super().setUp()
        program = self.folder / "docker-credential-vault"
        program.write_text(_HELPER)
        program.chmod(0o755)
        self.env["PATH"] = f"{self.folder}:{os.environ['PATH']}"
        self.addCleanup(lambda: (self.folder / "kept").unlink(missing_ok=True))

    def test_a_helper_keeps_the_password_instead_of_the_file(self):
        for config in ({"credsStore": "vault"}, {"credHelpers": {self.registry.host: "vault"}}):
            with self.subTest(config):
                (self.folder / "config.json").write_text(json.dumps(config))
                self.assertEqual(self.logged_in().stderr, "")
                self.assertEqual(self.config(), config)
                self.assertEqual(json.loads((self.folder / "kept").read_text()),
                                 {"ServerURL": self.registry.host, "Username": "user", "Secret": "pass:word"})
                self.assertEqual(self.pull_app().returncode, 0)
                self.w.ok("logout", self.registry.host, env=self.env)
                self.assert_fails(self.pull_app(), 1, "pull access denied")

    def test_a_helper_that_is_missing_or_fails_is_named(self):
        (self.folder / "config.json").write_text('{"credsStore": "absent"}')
        self.assert_fails(self.pull_app(), 1, "docker-credential-absent", "PATH")
        (self.folder / "config.json").write_text('{"credsStore": "vault"}')
        (self.folder / "docker-credential-vault").write_text("#!/bin/sh\necho locked; exit 2\n")
        self.assert_fails(self.pull_app(), 1, "docker-credential-vault", "locked")


class Elsewhere(RegistryTest):
    """Which servers are asked at all."""

    def configured(self, **config) -> list[str]:
        path = self.scratch("wherry-config") / "config.json"
        path.write_text(json.dumps(config))
        return ["--config", str(path)]

    def test_http_is_for_loopback_and_for_those_listed(self):
        with FakeRegistry(address="198.51.100.2") as there:
            there.repository("app").add_image("1", [self.layer("a")])
            name = f"{there.host}/app:1"
            self.assert_fails(self.w.try_run("pull", name, env=PROMPT), 1, "failed to resolve reference")
            self.assertEqual(there.requests, [])
            options = self.configured(**{"insecure-registries": ["198.51.100.0/24"]})
            self.w.ok(*options, "pull", name, env=PROMPT)

    def test_mirrors_go_before_docker_hub_and_the_image_keeps_its_name(self):
        self.registry.repository("library/app").add_image("1", [self.layer("a")])
        with FakeRegistry() as empty:
            options = self.configured(**{"registry-mirrors": ["http://127.0.0.1:1", f"http://{empty.host}",
                                                              f"http://{self.registry.host}"]})
            done = self.w.ok(*options, "pull", "app:1", env=PROMPT)
            self.assertEqual(done.splitlines()[-1], "docker.io/library/app:1")
            self.assertTrue(empty.asked("library/app/manifests/1"))
        self.assertTrue(self.image_id("app:1"))
