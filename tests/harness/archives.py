"""Image archives made by hand, right ones and hostile ones: docker-archives of three ages and OCI layouts."""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer_tar(files: dict[str, str | bytes]) -> bytes:
    """The tar of one layer; the same files give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def config(layers: list[bytes], architecture: str = "amd64", **more) -> bytes:
    """`layers`: uncompressed."""
    return json.dumps({"created": "2024-05-06T07:08:09Z", "architecture": architecture, "os": "linux",
                       "config": {"Cmd": ["sh"]},
                       "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
                       "history": [{"created_by": f"layer {i}"} for i in range(len(layers))],
                       **more}).encode()


def compressed(data: bytes, kind: str = "gzip") -> bytes:
    if kind == "":
        return data
    if kind == "gzip":
        return gzip.compress(data, 1, mtime=0)
    return subprocess.run([kind, "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Archive:
    """Entries in order; a name may come twice, a value may be ("link", target)."""

    def __init__(self):
        self.entries: list[tuple[str, object]] = []

    def add(self, name: str, content) -> "Archive":
        self.entries.append((name, content.encode() if isinstance(content, str) else content))
        return self

    def replace(self, name: str, content) -> "Archive":
        self.entries = [(n, c) for n, c in self.entries if n != name]
        return self.add(name, content)

    def without(self, name: str) -> "Archive":
        self.entries = [(n, c) for n, c in self.entries if n != name]
        return self

    def blob(self, data: bytes) -> dict:
        name = "blobs/sha256/" + digest_of(data).removeprefix("sha256:")
        if name not in [n for n, _ in self.entries]:
            self.add(name, data)
        return {"digest": digest_of(data), "size": len(data)}

    def bytes(self) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in self.entries:
                entry = tarfile.TarInfo(name)
                if isinstance(content, tuple):
                    entry.type, entry.linkname = tarfile.SYMTYPE, content[1]
                    tar.addfile(entry)
                else:
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        return stream.getvalue()

    def write(self, folder) -> None:
        for name, content in self.entries:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def docker_archive(layers: list[bytes], names: list[str], kind: str = "") -> Archive:
    """As Docker before 25 writes it: <id>/layer.tar, a layer that is there already as a symlink."""
    archive = Archive()
    made: dict[str, str] = {}
    paths = []
    for number, layer in enumerate(layers):
        folder = hashlib.sha256(f"{number}".encode() + layer).hexdigest()
        archive.add(f"{folder}/VERSION", "1.0").add(f"{folder}/json", "{}")
        path = f"{folder}/layer.tar"
        first = made.setdefault(digest_of(layer), path)
        archive.add(path, compressed(layer, kind) if first == path else ("link", f"../{first}"))
        paths.append(path)
    document = config(layers)
    name = digest_of(document).removeprefix("sha256:") + ".json"
    archive.add(name, document)
    archive.add("repositories", json.dumps({}))
    return archive.add("manifest.json", json.dumps([{"Config": name, "RepoTags": names, "Layers": paths}]))


def layout_manifest(archive: Archive, layers: list[bytes], kind: str, architecture: str = "amd64") -> dict:
    """The blobs of an image; the descriptor of its manifest."""
    descriptors = [{"mediaType": LAYER + (f"+{kind}" if kind else ""), **archive.blob(compressed(layer, kind))}
                   for layer in layers]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, **archive.blob(config(layers, architecture))},
                "layers": descriptors}
    return {"mediaType": MANIFEST, **archive.blob(json.dumps(manifest).encode())}


def layout(descriptors: list[dict], archive: Archive) -> Archive:
    archive.add("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
    return archive.add("index.json", json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                                                 "manifests": descriptors}))


def named(descriptor: dict, name: str) -> dict:
    return {**descriptor, "annotations": {"io.containerd.image.name": name}}


def oci_layout(layers: list[bytes], name: str, kind: str = "gzip") -> Archive:
    archive = Archive()
    return layout([named(layout_manifest(archive, layers, kind), name)], archive)


def read(data: bytes) -> dict[str, bytes]:
    """The files of an archive that wherry wrote."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
