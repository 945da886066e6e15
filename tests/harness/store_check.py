"""What must hold of a store at any time, read from its files and rows alone, as docs/formats/store.md has them."""
import hashlib
import os
import pathlib
import sqlite3
import struct

from harness import store_records

_SEALED_SECONDS = 1
_REFERENCE = struct.Struct("<32sQ")


def check_store(root: pathlib.Path, at_rest: bool = True) -> list[str]:
    """Sentences about what is wrong. `at_rest`: nothing is half-made, and nothing is there that nobody names."""
    rows = _Rows(root)
    named: dict[str, int] = {}
    wrong = []
    for layer in sorted(os.listdir(root / "layers")):
        if at_rest and layer not in rows.layers:
            wrong.append(f"layer {layer} has no row")
        found, objects = _check_layer(root, layer)
        wrong += found
        named |= objects
    wrong += [f"layer {layer} has a row and no files" for layer in rows.layers
              if not (root / "layers" / layer).is_dir()]
    for name, size in named.items():
        wrong += _check_object(root, name, size)
    wrong += _check_blobs(root, rows, at_rest)
    if at_rest:
        there = {folder + name for folder in os.listdir(root / "objects")
                 for name in os.listdir(root / "objects" / folder)}
        wrong += [f"object {name} belongs to no layer" for name in sorted(there - set(named))]
        wrong += [f"snapshot {name} has no row" for name in os.listdir(root / "trees")
                  if name.partition(".")[0] not in rows.trees]
        wrong += [f"incoming/{name} is left over" for name in os.listdir(root / "incoming")]
    return wrong


class _Rows:
    def __init__(self, root: pathlib.Path):
        # Read only, so that no log of the engine's is folded in or removed.
        state = sqlite3.connect(f"file:{root / 'state.db'}?mode=ro", uri=True)
        try:
            self.layers = {name.removeprefix("sha256:"): size
                           for name, size in state.execute("SELECT diff_id, size FROM layers")}
            self.blobs = {name.removeprefix("sha256:"): size
                          for name, size in state.execute("SELECT digest, size FROM blobs")}
            self.trees = set()
            for tree, layers in state.execute("SELECT tree, layers FROM trees"):
                self.trees |= {tree.removeprefix("sha256:"), *_chain_ids(layers.split())}
        finally:
            state.close()


def _chain_ids(layers: list[str]) -> list[str]:
    """As OCI has them, without their prefix."""
    chains = layers[:1]
    for layer in layers[1:]:
        chains.append("sha256:" + hashlib.sha256(f"{chains[-1]} {layer}".encode()).hexdigest())
    return [chain.removeprefix("sha256:") for chain in chains]


def _check_layer(root: pathlib.Path, layer: str) -> tuple[list[str], dict[str, int]]:
    folder = root / "layers" / layer
    try:
        entries = store_records.layer_entries(root, layer)
        index = list(_REFERENCE.iter_unpack((folder / "index").read_bytes()))
    except (OSError, ValueError, struct.error) as error:
        return [f"layer {layer}: {error}"], {}
    objects = {entry.object: entry.size for entry in entries if entry.type == store_records.FILE and entry.size}
    wrong = []
    if [(name.hex(), size) for name, size in index] != sorted(objects.items()):
        wrong.append(f"layer {layer}: its index is not what its record says")
    if not (folder / "recipe").stat().st_size:
        wrong.append(f"layer {layer}: its recipe is empty")
    return wrong, objects


def _check_object(root: pathlib.Path, name: str, size: int) -> list[str]:
    path = store_records.object_path(root, name)
    try:
        info, content = path.lstat(), path.read_bytes()
    except OSError as error:
        return [f"object {name}: {error}"]
    facts = info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, info.st_size
    if facts != (0o100444, 0, 0, _SEALED_SECONDS * 1_000_000_000, size):
        return [f"object {name} is not sealed: {facts}"]
    return [] if hashlib.sha256(content).hexdigest() == name else [f"object {name} has other bytes"]


def _check_blobs(root: pathlib.Path, rows: _Rows, at_rest: bool) -> list[str]:
    folder = root / "blobs" / "sha256"
    there = set(os.listdir(folder))
    wrong = [f"blob {name} has a row and no file" for name in sorted(rows.blobs.keys() - there)]
    if at_rest:
        wrong += [f"blob {name} has no row" for name in sorted(there - rows.blobs.keys())]
    for name in sorted(there & rows.blobs.keys()):
        content = (folder / name).read_bytes()
        if len(content) != rows.blobs[name] or hashlib.sha256(content).hexdigest() != name:
            wrong.append(f"blob {name} has other bytes")
    return wrong
