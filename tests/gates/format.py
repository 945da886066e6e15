"""clang-format-19 changes nothing."""
import subprocess

import tree


def check(gate: tree.Gate) -> None:
    files = [str(path) for path in tree.sources()]
    done = subprocess.run(["xargs", "-0", "-P", "2", "-n", "20", "clang-format-19", "--dry-run", "-Werror"],
                          input="\0".join(files).encode(), capture_output=True, cwd=tree.TOP)
    wrong = sorted({line.split(":")[0] for line in done.stderr.decode().splitlines() if "error:" in line})
    if done.returncode != 0 and not wrong:
        wrong = [done.stderr.decode()[-500:]]
    gate.report("format", [f"run clang-format-19 -i {name.removeprefix(f'{tree.TOP}/')}" for name in wrong])
