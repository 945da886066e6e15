"""docs/manual/runtime-spec.md is current, and every property of config.json has a test or a named refusal."""
import sys

import tree

sys.path.insert(0, str(tree.TOP / "tools"))
import runtime_spec_table  # noqa: E402


def check(gate: tree.Gate) -> None:
    gate.report("runtime_spec", runtime_spec_table.complaints())
