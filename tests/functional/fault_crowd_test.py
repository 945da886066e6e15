"""Many commands at once, on different and on the same things: only defined errors, nothing left behind."""
import concurrent.futures
import random
import re
import signal
import threading

from base import IMAGE
from faults import FULL, FaultTest, seeded
from harness import images
from harness.invariants import ImageWitness

# What a loser of a race may be told.
DEFINED = re.compile(r"no such (image|container|object)|already in use|is in use|conflict|is not running|"
                     r"already in progress|unable to find image", re.IGNORECASE)
ENDED_BY_A_SIGNAL = (128 + signal.SIGKILL, 128 + signal.SIGTERM)
TIMEOUT = 180


class CrowdTest(FaultTest):
    def at_once(self, width: int, jobs) -> list:
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            return list(pool.map(lambda job: job(), jobs))

    def assert_defined(self, done):
        if done.returncode != 0:
            self.assertRegex(done.stderr, DEFINED)


class Runs(CrowdTest):
    def run_mixed(self, width: int, count: int = 50):
        def job(index: int):
            if index % 2:
                return lambda: self.w.try_run("run", "--rm", IMAGE, "echo", str(index), timeout=TIMEOUT)
            return lambda: self.w.try_run("run", "-d", "--name", f"crowd{index}", "-p", f"{20000 + index}:80", IMAGE,
                                          "sleep", "1000", timeout=TIMEOUT)

        done = self.at_once(width, map(job, range(count)))
        for index, item in enumerate(done):
            self.assertEqual((item.returncode, item.stderr), (0, ""))
            if index % 2:
                self.assertEqual(item.stdout, f"{index}\n")
        self.assertEqual(len(self.w.ids(running_only=True)), count // 2)
        addresses = {self.w.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] for name in
                     self.w.ids()}
        self.assertEqual(len(addresses), count // 2)
        removed = self.at_once(width, [lambda name=name: self.w.try_run("rm", "-f", name, timeout=TIMEOUT)
                                       for name in self.w.ids()])
        for item in removed:
            self.assertEqual((item.returncode, item.stderr), (0, ""))
        self.to_rest()

    def test_two_at_a_time(self):
        self.run_mixed(2)

    def test_ten_at_a_time(self):
        self.run_mixed(10)

    def test_fifty_at_once(self):
        self.run_mixed(50)

    def test_one_name_has_one_winner(self):
        done = self.at_once(16, [lambda: self.w.try_run("run", "-d", "--name", "one", IMAGE, "sleep", "1000")] * 16)
        self.assertEqual(sorted(item.returncode for item in done), [0] + [125] * 15)
        for item in done:
            self.assert_defined(item)
        self.to_rest()

    def test_one_port_has_one_winner(self):
        done = self.at_once(8, [lambda: self.w.try_run("run", "-d", "-p", "20999:80", IMAGE, "sleep", "1000")] * 8)
        self.assertEqual(sum(item.returncode == 0 for item in done), 1, [item.stderr for item in done])
        for item in done:
            self.assertTrue(item.returncode == 0 or "port is already allocated" in item.stderr, item.stderr)
        self.to_rest()


class Removals(CrowdTest):
    def test_fifty_of_the_same_container(self):
        for _ in range(4 if FULL else 2):
            self.running("--name", "wanted", "-p", "20998:80", "-v", "/anonymous")
            done = self.at_once(50, [lambda: self.w.try_run("rm", "-f", "-v", "wanted", timeout=TIMEOUT)] * 50)
            self.assertIn(0, [item.returncode for item in done])
            for item in done:
                self.assert_defined(item)
            self.assertEqual(self.w.ids(), [])
            self.works_again("wanted", "-p", "20998:80")
            self.to_rest()

    def test_stops_starts_kills_and_removals_of_one_container(self):
        choice = seeded(self.id())
        for _ in range(8 if FULL else 2):
            self.running("--name", "wanted", command=("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"))
            verbs = choice.choices([("stop", "-t", "1"), ("start",), ("kill",), ("restart", "-t", "0"), ("inspect",),
                                    ("exec",), ("logs",), ("wait",)], k=40)
            jobs = [self.job_of(verb) for verb in verbs]
            done = self.at_once(20, [*jobs, lambda: self.w.try_run("rm", "-f", "wanted", timeout=TIMEOUT)])
            for verb, item in zip([*verbs, ("rm",)], done):
                # A session that ends with its container says nothing, as with Docker.
                if verb != ("exec",) or item.returncode not in ENDED_BY_A_SIGNAL:
                    self.assert_defined(item)
            self.after_a_fault()
            self.to_rest()

    def job_of(self, verb):
        extra = ("true",) if verb == ("exec",) else ()
        # A wait that comes after the last start ends with the removal.
        return lambda: self.w.try_run(*verb, "wanted", *extra, timeout=TIMEOUT)


class OneImage(CrowdTest):
    def test_ten_writers_of_one_image_while_it_runs(self):
        witness = ImageWitness(self.w, IMAGE)
        tar = images.padded_tar()
        rounds = 12 if FULL else 4
        problems = []
        lock = threading.Lock()

        def writer(index: int):
            choice = random.Random(f"{seeded(self.id()).random()} {index}")
            for _ in range(rounds):
                for command in (("import", tar, "shared:test"), ("tag", "shared:test", f"shared:{index}"),
                                ("run", "--rm", "--network", "none", "shared:test", "cat", "/etc/padding"),
                                choice.choice([("rmi", "shared:test"), ("rmi", "-f", "shared:test"),
                                               ("rmi", f"shared:{index}")])):
                    done = self.w.try_run(*command, timeout=TIMEOUT)
                    if done.returncode == 0 and command[0] == "run" and done.stdout != images.PADDING:
                        problem = f"{command}: {done.stdout!r}"
                    elif done.returncode != 0 and not DEFINED.search(done.stderr):
                        problem = f"{command}: {done.stderr}"
                    else:
                        continue
                    with lock:
                        problems.append(problem)

        self.at_once(10, [lambda index=index: writer(index) for index in range(10)])
        self.assertEqual(problems, [])
        self.assertEqual(witness.check(), [])
        for line in set(self.w.ok("images", "--no-trunc", "-q").split()) - {witness.id}:
            self.w.ok("rmi", "-f", line)
        self.assertEqual(self.layer_names(), self.layers_at_rest)
        self.w.ok("import", tar, "shared:test")
        self.assertEqual(self.w.ok("run", "--rm", "shared:test", "cat", "/etc/padding"), images.PADDING)
        self.w.ok("rmi", "shared:test")
        self.to_rest()
