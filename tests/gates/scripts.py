"""Shell scripts pass shellcheck, Python files compile."""
import subprocess

import tree


def check(gate: tree.Gate) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=tree.TOP, check=True,
                            capture_output=True, text=True).stdout
    shell, wrong = [], []
    for name in filter(None, listed.split("\0")):
        path = tree.TOP / name
        if path.suffix == ".sh" or (path.is_file() and not path.suffix and _is_shell(path)):
            shell.append(name)
        if path.suffix == ".py" and path.exists():
            try:
                compile(path.read_text(), name, "exec")
            except SyntaxError as error:
                wrong.append(f"{name}:{error.lineno}: {error.msg}")
    gate.report("python_compiles", wrong)
    done = subprocess.run(["shellcheck", "-f", "gcc", *shell], cwd=tree.TOP, capture_output=True, text=True)
    gate.report("shellcheck", done.stdout.splitlines() + done.stderr.splitlines())


def _is_shell(path) -> bool:
    with open(path, "rb") as file:
        first = file.readline(100)
    return first.startswith(b"#!") and b"sh" in first.split(b"/")[-1]
