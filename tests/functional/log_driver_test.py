"""--log-driver and --log-opt."""
import json
import pathlib

from base import IMAGE, FunctionalTest


class LogDriver(FunctionalTest):
    def finished(self, *options, script: str = "echo hello") -> str:
        name = self.w.detached(*options, IMAGE, "sh", "-c", script)
        self.w.ok("wait", name)
        return name

    def test_none_keeps_nothing_and_logs_says_so(self):
        name = self.finished("--log-driver", "none")
        self.assert_fails(self.w.try_run("logs", name), 1, "configured logging driver does not support reading")
        record = self.w.inspect(name)
        self.assertEqual((record["LogPath"], record["HostConfig"]["LogConfig"]),
                         ("", {"Type": "none", "Config": {}}))
        self.assertEqual(list((self.w.root / "containers" / name).glob("*.log*")), [])
        self.assertEqual(self.output("echo", "x", options=("--log-driver", "none")), "x\n")

    def test_sizes_and_numbers_of_files_are_kept_to(self):
        name = self.finished("--log-opt", "max-size=20k", "--log-opt", "max-file=2", script="seq 2000")
        files = sorted(pathlib.Path(self.w.inspect(name)["LogPath"]).parent.glob("*-json.log*"))
        self.assertEqual(len(files), 2)
        for file in files:
            self.assertLess(file.stat().st_size, 30_000)
        self.assertTrue(self.w.ok("logs", name).endswith("1999\n2000\n"))

    def test_others_are_refused_by_name(self):
        for options, word in ((("--log-driver", "syslog"), "'syslog' is not supported yet"),
                              (("--log-driver", "nope"), "no log driver named 'nope'"),
                              (("--log-opt", "tag=x"), "'tag' is not supported yet"),
                              (("--log-opt", "max-size=tiny"), "max-size=tiny"),
                              (("--log-opt", "max-size"), "max-size")):
            self.assert_fails(self.run_image("true", options=options), 125, word)

    def test_the_configuration_s_driver_is_the_default(self):
        config = self.scratch("config") / "config.json"
        config.write_text(json.dumps({"log-driver": "none"}))
        name = self.w.ok("--config", config, "run", "-d", IMAGE, "echo", "x").strip()
        self.w.ok("wait", name)
        self.assert_fails(self.w.try_run("logs", name), 1, "does not support reading")
        kept = self.w.ok("--config", config, "run", "-d", "--log-driver", "json-file", IMAGE, "echo", "x").strip()
        self.w.ok("wait", kept)
        self.assertEqual(self.w.ok("logs", kept), "x\n")
