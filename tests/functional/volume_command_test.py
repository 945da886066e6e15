"""volume create, ls, inspect, rm, prune; what happens to volumes when their containers go."""
import json

from base import IMAGE, FunctionalTest


class VolumeTest(FunctionalTest):
    def setUp(self):
        # The first cleanup runs last: when the containers are gone.
        self.addCleanup(lambda: self.w.ok("volume", "prune", "-af"))
        super().setUp()

    def names(self, *options) -> list[str]:
        return self.w.ok("volume", "ls", "-q", *options).split()

    def directories(self) -> list[str]:
        folder = self.w.root / "volumes"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class Create(VolumeTest):
    def test_it_prints_the_name_and_asking_again_keeps_it(self):
        self.assertEqual(self.w.ok("volume", "create", "--label", "k=v", "data"), "data\n")
        created = json.loads(self.w.ok("volume", "inspect", "data"))[0]
        self.assertEqual(self.w.ok("volume", "create", "data"), "data\n")
        self.assertEqual(json.loads(self.w.ok("volume", "inspect", "data")), [created])
        self.assertEqual((created["Name"], created["Driver"], created["Scope"], created["Labels"]),
                         ("data", "local", "local", {"k": "v"}))
        self.assertEqual(created["Mountpoint"], f"{self.w.root}/volumes/data/_data")
        self.assertEqual(self.directories(), ["data"])

    def test_without_a_name_it_is_anonymous(self):
        name = self.w.ok("volume", "create").strip()
        self.assertRegex(name, "^[0-9a-f]{64}$")
        self.assertEqual(self.w.ok("volume", "inspect", "-f", "{{json .Labels}}", name),
                         '{"com.docker.volume.anonymous":""}\n')

    def test_bad_names_and_drivers_are_refused(self):
        for name in ("a", "/abs", "a/b", "x y"):
            self.assert_fails(self.w.try_run("volume", "create", name), 1, "name")
        self.assert_fails(self.w.try_run("volume", "create", "-d", "nfs", "data"), 1, "nfs")
        self.assert_fails(self.w.try_run("volume", "create", "--opt", "type=tmpfs", "data"), 125, "--opt")
        self.assertEqual(self.names(), [])

    def test_what_is_written_stays_for_the_next_container(self):
        self.w.ok("volume", "create", "data")
        self.output("sh", "-c", "echo kept > /d/f", options=("-v", "data:/d"))
        self.assertEqual(self.output("cat", "/d/f", options=("-v", "data:/d")), "kept\n")


class List(VolumeTest):
    def test_columns_are_docker_s(self):
        self.w.ok("volume", "create", "beta")
        self.w.ok("volume", "create", "alpha")
        self.assertEqual(self.w.ok("volume", "ls"),
                         "DRIVER    VOLUME NAME\nlocal     alpha\nlocal     beta\n")
        row = json.loads(self.w.ok("volume", "ls", "--format", "json").splitlines()[0])
        self.assertEqual((row["Name"], row["Driver"]), ("alpha", "local"))
        self.assertEqual(self.w.ok("volume", "ls", "--format", "{{.Name}} {{.Scope}}", "-f", "name=bet"),
                         "beta local\n")

    def test_filters(self):
        self.w.ok("volume", "create", "free")
        self.w.ok("volume", "create", "--label", "k=v", "marked")
        self.running("-v", "used:/u")
        self.assertEqual(self.names(), ["free", "marked", "used"])
        self.assertEqual(self.names("-f", "dangling=true"), ["free", "marked"])
        self.assertEqual(self.names("-f", "dangling=false"), ["used"])
        self.assertEqual(self.names("-f", "label=k=v"), ["marked"])
        self.assert_fails(self.w.try_run("volume", "ls", "-f", "nonsense=1"), 1, "nonsense")

    def test_inspect_finds_volumes_too(self):
        self.w.ok("volume", "create", "data")
        self.assertEqual(self.w.ok("inspect", "-f", "{{.Name}}", "data"), "data\n")
        self.assertEqual(self.w.ok("inspect", "--type", "volume", "-f", "{{.Driver}}", "data"), "local\n")
        self.assert_fails(self.w.try_run("volume", "inspect", "gone"), 1, "get gone: no such volume")


class Remove(VolumeTest):
    def test_its_files_go_with_it(self):
        self.w.ok("volume", "create", "data")
        self.output("touch", "/d/f", options=("-v", "data:/d"))
        self.assertEqual(self.w.ok("volume", "rm", "data"), "data\n")
        self.assertEqual((self.names(), self.directories()), ([], []))

    def test_one_in_use_is_a_conflict_even_when_its_container_is_stopped(self):
        name = self.w.detached("-v", "data:/d", IMAGE, "true")
        self.w.ok("wait", name)
        for options in ((), ("-f",)):
            self.assert_fails(self.w.try_run("volume", "rm", *options, "data"), 1,
                              f"remove data: volume is in use - [{name}]")
        self.assertEqual(self.names(), ["data"])

    def test_a_missing_one_is_an_error_but_not_with_f(self):
        self.assert_fails(self.w.try_run("volume", "rm", "gone"), 1, "get gone: no such volume")
        self.assertEqual(self.w.try_run("volume", "rm", "-f", "gone").returncode, 0)

    def test_rm_v_spares_an_anonymous_volume_that_another_container_mounts(self):
        first = self.running("-v", "/d")
        volume = self.w.inspect(first)["Mounts"][0]["Name"]
        second = self.running("-v", f"{volume}:/other")
        self.w.ok("rm", "-fv", first)
        self.assertEqual(self.names(), [volume])
        self.w.ok("exec", second, "touch", "/other/f")

    def test_a_fault_at_any_step_leaves_the_volume_or_nothing(self):
        self.w.ok("volume", "create", "probe")
        points = [point for point in self.w.failpoints_of("volume", "rm", "probe")
                  if point.startswith("engine.volume")]
        self.assertIn("engine.volume.forgotten", points)
        for point in points:
            for action in ("kill", "eio"):
                with self.subTest(f"{point}:{action}"):
                    self.w.ok("volume", "create", "data")
                    done = self.w.with_failpoint(point, action, "volume", "rm", "data")
                    self.assertNotEqual(done.returncode, 0)
                    self.assertEqual(self.names(), self.directories())
                    self.w.ok("volume", "rm", "-f", "data")
                    self.assertEqual((self.names(), self.directories()), ([], []))


class Prune(VolumeTest):
    def test_only_unused_anonymous_ones_go(self):
        self.w.ok("volume", "create", "named")
        loose = self.w.ok("volume", "create").strip()
        used = self.w.inspect(self.running("-v", "/d"))["Mounts"][0]["Name"]
        done = self.w.ok("volume", "prune", "-f")
        self.assertEqual(done, f"Deleted Volumes:\n{loose}\n\nTotal reclaimed space: 0B\n")
        self.assertEqual(sorted(self.names()), sorted(["named", used]))

    def test_all_takes_named_ones_and_tells_their_size(self):
        self.output("sh", "-c", "head -c 5000 /dev/zero > /d/f", options=("-v", "named:/d"))
        self.assertEqual(self.w.ok("volume", "prune", "-af"),
                         "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 5kB\n")
        self.assertEqual(self.directories(), [])

    def test_labels_choose(self):
        self.w.ok("volume", "create", "--label", "keep", "one")
        self.w.ok("volume", "create", "two")
        self.w.ok("volume", "prune", "-af", "--filter", "label!=keep")
        self.assertEqual(self.names(), ["one"])

    def test_it_asks_first(self):
        loose = self.w.ok("volume", "create").strip()
        question = "WARNING! This will remove anonymous local volumes not used by at least one container.\n" \
                   "Are you sure you want to continue? [y/N] "
        no = self.w.try_run("volume", "prune", input="n\n")
        self.assertEqual(no.stdout, question)
        self.assert_fails(no, 1, "volume prune has been cancelled")
        self.assertEqual(self.names(), [loose])
        yes = self.w.try_run("volume", "prune", input="y\n")
        self.assertTrue(yes.stdout.startswith(question + "Deleted Volumes:"), yes)
        self.assertEqual(self.names(), [])
