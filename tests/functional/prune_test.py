"""system prune: what is not in use goes, at once."""
import os
import pathlib
import subprocess

from base import IMAGE, FunctionalTest


class SystemPrune(FunctionalTest):
    def tearDown(self):
        # The bridge that setUpClass made is part of what the leak check knows.
        self.w.ok("run", "--rm", "-p", "127.0.0.1::9", IMAGE, "true")

    def links(self) -> str:
        return subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout

    def cgroups(self) -> list[str]:
        tag = self.w.cgroup().removeprefix("/")
        mounts = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                  if " - cgroup" in line]
        self.assertTrue(mounts)
        return [mount for mount in mounts if os.path.exists(os.path.join(mount, tag))]

    def build(self, tag: str, dockerfile: str):
        self.w.ok("build", "-q", "-t", tag, "-", input=dockerfile)

    def test_without_an_answer_it_says_what_would_go_and_leaves_it(self):
        down = self.w.ok("create", IMAGE, "true").strip()
        for answer in ("n\n", "", "yes\n"):
            done = self.w.try_run("system", "prune", input=answer)
            self.assert_fails(done, 1, "system prune has been cancelled")
            self.assertEqual(done.stdout, "WARNING! This will remove:\n"
                             "  - all stopped containers\n"
                             "  - all networks not used by at least one container\n"
                             "  - all dangling images\n"
                             "  - unused build cache\n\n"
                             "Are you sure you want to continue? [y/N] ")
        self.assertEqual(self.w.ids(), [down])
        done = self.w.try_run("system", "prune", "-a", "--volumes", "--filter", "label=a=b", input="n\n")
        for line in ("all anonymous volumes not used", "all images without at least one container",
                     "all build cache", "filtered with:\n  - label=a=b\n"):
            self.assertIn(line, done.stdout)

    def test_it_takes_what_is_not_in_use_and_leaves_what_is(self):
        up = self.running()
        down = self.w.detached(IMAGE, "sh", "-c", "head -c 1000000 /dev/zero > /file")
        self.w.ok("wait", down)
        anonymous = self.w.ok("volume", "create").strip()
        self.build("other:one", f"FROM {IMAGE}\nRUN head -c 2000000 /dev/zero > /made\n")
        self.build("other:one", f"FROM {IMAGE}\nRUN head -c 3000000 /dev/zero > /made\n")
        done = self.w.try_run("system", "prune", input="y\n")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(f"Deleted Containers:\n{down}\n\n", done.stdout)
        self.assertIn("Deleted Images:\ndeleted: sha256:", done.stdout)
        self.assertTrue(done.stdout.endswith("Total reclaimed space: 3MB\n"), done.stdout)
        self.assertEqual(self.w.ids(), [up])
        self.assertIn(anonymous, self.w.ok("volume", "ls", "-q"))
        self.assertIn("other", self.w.ok("images"))
        self.assertEqual(self.w.ok("exec", up, "echo", "alive"), "alive\n")

        done = self.w.ok("system", "prune", "-a", "-f", "--volumes")
        self.assertIn(f"Deleted Volumes:\n{anonymous}\n\n", done)
        self.assertIn("untagged: other:one\n", done)
        self.assertIn("Deleted build cache objects:\n", done)
        self.assertTrue(done.endswith("Total reclaimed space: 3MB\n"), done)
        self.assertIn(IMAGE.split(":")[0], self.w.ok("images"))
        self.assertEqual(self.w.ok("system", "prune", "-a", "-f", "--volumes"), "Total reclaimed space: 0B\n")

    def test_the_idle_bridge_goes_and_comes_back(self):
        bridge = self.w.inspect(self.running())["NetworkSettings"]["Bridge"]
        self.w.ok("system", "prune", "-f")
        self.assertIn(f" {bridge}:", self.links(), "a container is attached")
        self.w.remove_containers()
        self.w.ok("system", "prune", "-f")
        self.assertNotIn(f" {bridge}:", self.links())
        rules = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
        self.assertNotIn("wherry", rules)
        self.w.wait_for(lambda: self.w.ok("system", "prune", "-f") and not self.cgroups())
        self.assertIn("default via", self.output("ip", "route"))
        self.assertIn(f" {bridge}:", self.links())

    def test_filters_hold_for_all_kinds_and_nonsense_is_refused_before_it_asks(self):
        kept = self.w.ok("create", "-l", "keep", IMAGE, "true").strip()
        gone = self.w.ok("create", IMAGE, "true").strip()
        self.assertEqual(self.w.ok("system", "prune", "-f", "--filter", "until=1h"), "Total reclaimed space: 0B\n")
        self.assertIn(gone, self.w.ok("system", "prune", "-f", "--filter", "label!=keep"))
        self.assertEqual(self.w.ids(), [kept])
        for words, message in (((("--filter", "color=red")), "invalid filter 'color'"),
                               (("--filter", "until=soon"), "until=soon"),
                               (("--volumes", "--filter", "until=1h"), 'not supported with "--volumes"')):
            done = self.w.try_run("system", "prune", *words, input="y\n")
            self.assert_fails(done, 1, message)
            self.assertEqual(done.stdout, "")
        self.assertEqual(self.w.ids(), [kept])
