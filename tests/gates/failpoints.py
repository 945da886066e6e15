"""Every failpoint of what makes, keeps and builds images is named by a test, which sees that it is passed."""
import re

import tree

_FLOORS = ("archive", "build", "store")


def check(gate: tree.Gate) -> None:
    points = {point for floor in _FLOORS for path in (tree.SRC / floor).glob("*.cc")
              for point in re.findall(r'failpoint\("([^"]+)"', path.read_text())}
    named = set()
    for path in [*(tree.TOP / "tests").rglob("*_test.py"), *(tree.TOP / "tests").rglob("*_test.cc")]:
        named |= set(re.findall(r'"((?:archive|build|store)\.[a-z_.]+)', path.read_text()))
    gate.report("failpoints", [f"'{point}' is in no test" for point in sorted(points - named)])
