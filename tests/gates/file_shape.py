"""Files stay readable: at most 600 lines, headers with #pragma once and a few words at the top."""
import tree

_MOST_LINES = 600


def check(gate: tree.Gate) -> None:
    long, silent = [], []
    for path in tree.sources():
        lines = path.read_text().splitlines()
        name = path.relative_to(tree.TOP)
        if len(lines) > _MOST_LINES:
            long.append(f"{name} has {len(lines)} lines, at most {_MOST_LINES}")
        if path.suffix == ".h":
            if "#pragma once" not in lines:
                silent.append(f"{name} has no #pragma once")
            if not lines or not lines[0].startswith("//"):
                silent.append(f"{name} does not open with what it is for")
    gate.report("file_length", long)
    gate.report("header_shape", silent)
