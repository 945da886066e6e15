"""Each floor includes only the floors that its row allows (docs/design/floors.md)."""
import tree


def check(gate: tree.Gate) -> None:
    for folder in sorted(path for path in tree.SRC.iterdir() if path.is_dir()):
        floor = folder.name
        if floor not in tree.ALLOWED:
            gate.fail(f"include_layers {floor}", "no row for this floor in tests/gates/tree.py")
            continue
        gate.report(f"include_layers {floor}", _wrong_includes(floor, folder))


def _wrong_includes(floor, folder) -> list[str]:
    wrong = []
    for path in sorted([*folder.rglob("*.h"), *folder.rglob("*.cc")]):
        for name in tree.includes(path):
            if "/" not in name:
                continue  # generated beside the sources of its own floor
            target = name.split("/")[0]
            if target != floor and target not in tree.ALLOWED[floor]:
                wrong.append(f"{path.relative_to(tree.TOP)} includes \"{name}\"")
    return wrong
