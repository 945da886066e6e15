"""docker, skopeo and podman push to and pull from wherry-registry; the bytes stay the same."""
import gzip
import json
import subprocess

from harness import images, peers
from harness.registry import digest, expect
from registry_server_test import RegistryTest

# The bridge and its rules would outlive the daemon.
_NO_NETWORK = ["--bridge=none", "--iptables=false"]


class Peers(RegistryTest):
    needs_peers = True

    def peer(self, *words, timeout: float = 120) -> str:
        """stdout of a program of the peers tree, which must succeed; its data is on the test's disk."""
        done = subprocess.run(peers.command(self.folder / "peer", *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stderr[-3000:]}\n{self.r.log.read_text()[-2000:]}")
        return done.stdout

    def skopeo(self, *words) -> str:
        return self.peer("skopeo", "--insecure-policy", *words)

    def manifest(self, name: str, reference: str = "latest") -> dict:
        return expect(self.r.ask("GET", f"/v2/{name}/manifests/{reference}"), 200).json()

    def check_blobs(self, name: str):
        document = self.manifest(name)
        for part in [document["config"], *document["layers"]]:
            got = expect(self.r.ask("GET", f"/v2/{name}/blobs/{part['digest']}"), 200).body
            self.assertEqual((digest(got), len(got)), (part["digest"], part["size"]))

    def oci_layout(self) -> str:
        """An image of one layer as an OCI layout, made by us; its name for skopeo."""
        top = self.folder / "peer" / "layout"
        (top / "blobs/sha256").mkdir(parents=True)

        def add(data: bytes) -> dict:
            (top / "blobs/sha256" / digest(data).partition(":")[2]).write_bytes(data)
            return {"digest": digest(data), "size": len(data)}

        tar = images.busybox_tar().read_bytes()
        layer = gzip.compress(tar, 1, mtime=0)
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"]},
                             "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}}).encode()
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **add(config)},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **add(layer)}]}
        entry = {"mediaType": manifest["mediaType"], **add(json.dumps(manifest).encode())}
        (top / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (top / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        return entry["digest"]

    def test_skopeo_copies_in_and_out_with_the_same_digest(self):
        pushed = self.oci_layout()
        there = f"docker://{self.r.address}/team/app:latest"
        self.skopeo("copy", "--preserve-digests", "--dest-tls-verify=false", "oci:/peer/layout", there)
        answer = expect(self.r.ask("GET", "/v2/team/app/manifests/latest"), 200)
        self.assertEqual(answer.headers["docker-content-digest"], pushed)
        self.check_blobs("team/app")
        self.skopeo("copy", "--preserve-digests", "--src-tls-verify=false", there, "oci:/peer/back")
        index = json.loads((self.folder / "peer/back/index.json").read_text())
        self.assertEqual(index["manifests"][0]["digest"], pushed)
        self.skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", there,
                    f"docker://{self.r.address}/other:copy")
        listed = json.loads(self.skopeo("list-tags", "--tls-verify=false", f"docker://{self.r.address}/other"))
        self.assertEqual(listed["Tags"], ["copy"])
        self.skopeo("delete", "--tls-verify=false", f"docker://{self.r.address}/other:copy")
        self.assertEqual(self.r.ask("GET", "/v2/other/manifests/copy").status, 404)

    def test_podman_pushes_and_pulls(self):
        self.oci_layout()
        podman = ("podman", "--root", "/peer/podman", "--runroot", "/run/podman", "--storage-driver", "vfs",
                  "--events-backend", "none", "--cgroup-manager", "cgroupfs")
        name = f"{self.r.address}/team/podman:latest"
        script = " && ".join(" ".join(words) for words in (
            (*podman, "pull", "-q", "oci:/peer/layout"),
            (*podman, "push", "-q", "--tls-verify=false", f"$({' '.join(podman)} images -q)", name),
            (*podman, "rmi", "-a", "-f"),
            (*podman, "pull", "-q", "--tls-verify=false", name)))
        policy = """echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /tmp/policy.json"""
        script = script.replace(" push ", " push --signature-policy /tmp/policy.json ").replace(
            " pull ", " pull --signature-policy /tmp/policy.json ")
        pulled = self.peer("sh", "-c", f"{policy} && {script}").split()[-1]
        self.assertEqual("sha256:" + pulled, self.manifest("team/podman")["config"]["digest"])
        self.check_blobs("team/podman")

    def test_docker_pushes_and_pulls(self):
        name = f"{self.r.address}/team/docker:latest"
        with peers.Dockerd(self.folder / "docker", options=_NO_NETWORK) as docker:
            with open(images.busybox_tar(), "rb") as tar:
                subprocess.run(docker.command("import", "-", name), stdin=tar, check=True, capture_output=True)
            pushed = docker.ok("push", name)
            self.assertIn("digest: sha256:", pushed)
            self.check_blobs("team/docker")
            identity = docker.ok("image", "inspect", "--format", "{{.Id}}", name)
            docker.ok("tag", name, f"{self.r.address}/second:latest")
            self.assertIn("Mounted from team/docker", docker.ok("push", f"{self.r.address}/second:latest"))
            docker.ok("rmi", "-f", name, f"{self.r.address}/second:latest")
            docker.ok("pull", name)
            self.assertEqual(docker.ok("image", "inspect", "--format", "{{.Id}}", name), identity)

    def test_docker_logs_in(self):
        users = self.folder / "users"
        users.write_text("ann:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n")  # U*U
        self.r.stop()
        self.r._options = ("--htpasswd", str(users))
        self.r.start()
        name = f"{self.r.address}/team/docker:latest"
        with peers.Dockerd(self.folder / "docker", options=_NO_NETWORK) as docker:
            with open(images.busybox_tar(), "rb") as tar:
                subprocess.run(docker.command("import", "-", name), stdin=tar, check=True, capture_output=True)
            self.assertNotEqual(docker.run("push", name).returncode, 0)
            self.assertNotEqual(docker.run("login", "-u", "ann", "-p", "wrong", self.r.address).returncode, 0)
            docker.ok("login", "-u", "ann", "-p", "U*U", self.r.address)
            docker.ok("push", name)
            docker.ok("rmi", name)
            docker.ok("pull", name)
