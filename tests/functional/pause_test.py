"""pause, unpause, rename, container prune."""
import time

from base import IMAGE, FunctionalTest

_COUNTER = ("sh", "-c", "while :; do echo x; sleep 0.05; done")


class Pause(FunctionalTest):
    def lines(self, name: str) -> int:
        return len(self.w.ok("logs", name).splitlines())

    def test_a_paused_container_stands_still_and_goes_on(self):
        name = self.running("--name", "clock", command=_COUNTER)
        self.w.wait_for(lambda: self.lines(name) > 2)
        self.assertEqual(self.w.ok("pause", "clock"), "clock\n")
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "paused")
        self.assertTrue(self.w.inspect(name)["State"]["Paused"])
        self.assertIn("(Paused)", self.w.ok("ps"))
        self.assertEqual(self.w.ok("ps", "-q", "--filter", "status=paused", "--no-trunc").split(), [name])
        before = self.lines(name)
        time.sleep(0.3)
        self.assertEqual(self.lines(name), before)
        self.assertEqual(self.w.ok("unpause", "clock"), "clock\n")
        self.assertEqual(self.w.inspect(name)["State"]["Status"], "running")
        self.w.wait_for(lambda: self.lines(name) > before)

    def test_what_a_paused_container_refuses(self):
        name = self.running()
        self.w.ok("pause", name)
        self.assert_fails(self.w.try_run("pause", name), 1, "already paused")
        self.assert_fails(self.w.try_run("exec", name, "true"), 1, "is paused, unpause the container before exec")
        self.assert_fails(self.w.try_run("attach", name), 1, "cannot attach to a paused container")
        self.assert_fails(self.w.try_run("start", name), 1, "cannot start a paused container")
        self.assert_fails(self.w.try_run("rm", name), 1, "container is running")
        self.w.ok("unpause", name)
        self.assert_fails(self.w.try_run("unpause", name), 1, "is not paused")

    def test_only_running_ones_can_be_paused(self):
        name = self.w.detached(IMAGE, "true")
        self.w.ok("wait", name)
        self.assert_fails(self.w.try_run("pause", name), 1, "is not running")
        self.assert_fails(self.w.try_run("pause", "nobody"), 1, "no such container")

    def test_stop_kill_and_removal_reach_a_paused_one(self):
        trap = ("sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done")
        for verb, code in ((("stop", "-t", "5"), 7), (("kill",), 137), (("kill", "-s", "TERM"), 7)):
            name = self.running(command=trap)
            self.w.wait_for(lambda: self.w.try_run("exec", name, "true").returncode == 0)
            self.w.ok("pause", name)
            self.w.ok(*verb, name)
            self.assertEqual(self.w.ok("wait", name), f"{code}\n")
        name = self.running()
        self.w.ok("pause", name)
        self.w.ok("rm", "-f", name)

    def test_a_kill_of_the_command_leaves_either_state(self):
        name = self.running()
        points = {verb: self.w.failpoints_of(verb, name) for verb in ("pause", "unpause")}
        for verb in points:
            for point in points[verb]:
                self.w.try_run("unpause", name)
                if verb == "unpause":
                    self.w.ok("pause", name)
                self.w.with_failpoint(point, "kill", verb, name)
                status = self.w.inspect(name)["State"]["Status"]
                self.w.ok("pause" if status == "running" else "unpause", name)


class Rename(FunctionalTest):
    def test_the_new_name_works_and_the_old_is_free(self):
        name = self.running("--name", "old")
        self.assertEqual(self.w.ok("rename", "old", "new"), "")
        self.assertEqual(self.w.inspect("new")["Id"], name)
        self.assertEqual(self.w.inspect(name)["Name"], "/new")
        self.assert_fails(self.w.try_run("inspect", "old"), 1, "no such")
        self.running("--name", "old")

    def test_names_in_use_and_bad_ones_are_refused(self):
        self.running("--name", "one")
        self.running("--name", "two")
        self.assert_fails(self.w.try_run("rename", "one", "two"), 1, "already in use by container")
        self.assert_fails(self.w.try_run("rename", "one", "one"), 1, "same name as its current name")
        self.assert_fails(self.w.try_run("rename", "one", "bad name"), 1, "bad name")
        self.assert_fails(self.w.try_run("rename", "none", "three"), 1, "no such container")


class ContainerPrune(FunctionalTest):
    def test_it_takes_what_does_not_run(self):
        up = self.running()
        paused = self.running()
        self.w.ok("pause", paused)
        down = self.w.detached("-l", "keep=no", IMAGE, "sh", "-c", "head -c 1000000 /dev/zero > /file")
        kept = self.w.detached("-l", "keep", IMAGE, "true")
        created = self.w.ok("create", IMAGE, "true").strip()
        self.w.ok("wait", down, kept)
        no = self.w.try_run("container", "prune", input="n\n")
        self.assert_fails(no, 1, "container prune has been cancelled")
        done = self.w.ok("container", "prune", "-f", "--filter", "label!=keep=", "--filter", "until=0s")
        self.assertTrue(done.startswith("Deleted Containers:\n"), done)
        self.assertEqual(set(done.splitlines()[1:3]), {down, created})
        self.assertTrue(done.endswith("Total reclaimed space: 1MB\n"), done)
        self.assertEqual(set(self.w.ids()), {up, paused, kept})
        self.assert_fails(self.w.try_run("container", "prune", "-f", "--filter", "color=red"), 1, "color")
        self.assertEqual(self.w.ok("container", "prune", "-f", "--filter", "until=24h"),
                         "Total reclaimed space: 0B\n")
