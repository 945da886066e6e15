"""A command that is stopped holds its locks: who waits for them is told by whom."""
import os
import signal

from base import IMAGE, FunctionalTest


class LockWait(FunctionalTest):
    def stopped(self, failpoint: str, *words):
        """A command that stands still, and that goes on when the test ends."""
        command = self.w.start(*words, env={"WHERRY_FAILPOINT": f"{failpoint}:stop"})
        self.addCleanup(command.communicate, timeout=60)
        self.addCleanup(os.kill, command.pid, signal.SIGCONT)
        self.w.wait_for(lambda: _state(command.pid) == "T")
        return command

    def assert_waits_for(self, holder, lock: str, *words):
        waiting = self.w.start(*words)
        line = waiting.stderr.readline().decode()
        self.assertIn(f"waiting for the lock of '{lock}', which process {holder.pid} (", line)
        self.assertIn(str(self.w.root), line, "the holder's command line")
        self.assertIn("it is stopped", line)
        self.assertEqual(waiting.stderr.readline().decode(), f"  let it go on: kill -CONT {holder.pid}\n")
        os.kill(holder.pid, signal.SIGCONT)
        out, err = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, err), (0, b""))
        return out.decode()

    def test_of_a_container(self):
        web = self.w.ok("create", "--name", "web", IMAGE, "sleep", "1000").strip()
        holder = self.stopped("engine.start.marked", "start", "web")
        self.assertEqual(self.assert_waits_for(holder, web, "start", "web"), "web\n")
        self.assertEqual(self.w.ids(running_only=True), [web])

    def test_of_the_state(self):
        holder = self.stopped("state.commit.before", "create", IMAGE, "true")
        self.assert_waits_for(holder, "state", "create", IMAGE, "true")
        self.assertEqual(len(self.w.ids()), 2)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0]
