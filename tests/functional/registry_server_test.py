"""wherry-registry by its protocol: the endpoints of the distribution specification, bad input, clients that misbehave."""
import base64
import contextlib
import json
import os
import pathlib
import random
import re
import select
import shutil
import socket
import subprocess
import tempfile
import unittest

from harness import leaks, registry
from harness.paths import TOP, bin_dir
from harness.registry import INDEX, MANIFEST, Registry, digest, expect


class RegistryTest(unittest.TestCase):
    """self.r: a registry for each test, on the test's disk."""

    options = ()
    maxDiff = None

    def setUp(self):
        before = leaks.snapshot()
        self.addCleanup(lambda: self.assertEqual(leaks.wait_until_clean(before)[:20], []))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="registry-", dir=os.environ["WHERRY_TEST_DISK"]))
        self.addCleanup(shutil.rmtree, self.folder)
        self.r = Registry(self.folder / "root", *self.options)
        self.r.__enter__()
        self.addCleanup(self.r.__exit__)

    def assert_error(self, answer, status: int, code: str):
        self.assertEqual((answer.status, answer.code), (status, code), answer)

    def files(self, folder: str) -> list[str]:
        top = self.r.root / folder
        return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())


class Blobs(RegistryTest):
    def test_base_answers_with_the_version(self):
        answer = expect(self.r.ask("GET", "/v2/"), 200)
        self.assertEqual(answer.headers["docker-distribution-api-version"], "registry/2.0")

    def test_root_is_private(self):
        self.assertEqual(self.r.root.stat().st_mode & 0o777, 0o700)

    def test_upload_in_one_post(self):
        data = b"hello"
        answer = expect(self.r.ask("POST", f"/v2/a/b/blobs/uploads/?digest={digest(data)}", data), 201)
        self.assertEqual(answer.headers["location"], f"/v2/a/b/blobs/{digest(data)}")
        self.assertEqual(answer.headers["docker-content-digest"], digest(data))
        self.assertEqual(expect(self.r.ask("GET", answer.headers["location"]), 200).body, data)
        self.assertEqual(self.files("uploads"), [])

    def test_upload_by_post_and_put(self):
        data = os.urandom(3_000_000)
        where = self.r.begin("a")
        expect(self.r.ask("PUT", f"{where}?digest={digest(data)}", data), 201)
        got = expect(self.r.ask("GET", f"/v2/a/blobs/{digest(data)}"), 200)
        self.assertEqual(got.body, data)
        self.assertEqual(got.headers["content-length"], str(len(data)))

    def test_upload_in_a_stream_of_chunks_as_docker_does(self):
        pieces = [os.urandom(size) for size in (1, 70_000, 3, 200_000)]
        data = b"".join(pieces)
        where = self.r.begin("a")
        answer = expect(self.r.ask("PATCH", where, pieces), 202)
        self.assertEqual(answer.headers["range"], f"0-{len(data) - 1}")
        expect(self.r.ask("PUT", f"{answer.headers['location']}?digest={digest(data)}"), 201)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(data)}").body, data)

    def test_upload_in_pieces_with_content_range(self):
        data, where = os.urandom(100_000), self.r.begin("a")
        for first in range(0, 75_000, 25_000):
            piece = data[first:first + 25_000]
            expect(self.r.ask("PATCH", where, piece, Content_Range=f"{first}-{first + 24_999}"), 202)
            state = expect(self.r.ask("GET", where), 204)
            self.assertEqual(state.headers["range"], f"0-{first + 24_999}")
        expect(self.r.ask("PUT", f"{where}?digest={digest(data)}", data[75_000:],
                          Content_Range="75000-99999"), 201)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(data)}").body, data)

    def test_a_piece_out_of_order_is_416_and_changes_nothing(self):
        data, where = b"0123456789", self.r.begin("a")
        expect(self.r.ask("PATCH", where, data[:5], Content_Range="0-4"), 202)
        for wrong in ("0-4", "4-8", "6-9", "9223372036854775800-9223372036854775806", "x", "5", "8-4"):
            answer = self.r.ask("PATCH", where, b"abcde", Content_Range=wrong)
            self.assert_error(answer, 416, "BLOB_UPLOAD_INVALID")
            self.assertEqual((answer.headers["range"], answer.headers["location"]), ("0-4", where))
        self.assert_error(self.r.ask("PATCH", where, b"ab", Content_Range="5-9"), 400, "SIZE_INVALID")
        self.assert_error(self.r.ask("PUT", f"{where}?digest={digest(data)}", data[5:], Content_Range="6-9"),
                          416, "BLOB_UPLOAD_INVALID")
        expect(self.r.ask("PUT", f"{where}?digest={digest(data)}", data[5:], Content_Range="5-9"), 201)

    def test_a_wrong_digest_is_refused_and_the_upload_goes_on(self):
        data, where = b"right", self.r.begin("a")
        expect(self.r.ask("PATCH", where, data[:2]), 202)
        self.assert_error(self.r.ask("PUT", f"{where}?digest={digest(data)}", b"wrong"), 400, "DIGEST_INVALID")
        self.assertEqual(self.r.ask("GET", where).headers["range"], "0-1")
        self.assertEqual(self.r.ask("HEAD", f"/v2/a/blobs/{digest(data)}").status, 404)
        expect(self.r.ask("PUT", f"{where}?digest={digest(data)}", data[2:]), 201)

    def test_put_without_a_valid_digest_is_refused(self):
        where = self.r.begin("a")
        for query in ("", "?digest=", "?digest=sha256:abc", "?digest=md5:" + "0" * 32,
                      "?digest=sha256:../../../etc/passwd"):
            self.assert_error(self.r.ask("PUT", where + query, b"x"), 400, "DIGEST_INVALID")

    def test_sha512(self):
        data, where = b"long digest", self.r.begin("a")
        expect(self.r.ask("PATCH", where, data), 202)
        name = digest(data, "sha512")
        expect(self.r.ask("PUT", f"{where}?digest={name}"), 201)
        self.assertEqual(expect(self.r.ask("GET", f"/v2/a/blobs/{name}"), 200).body, data)

    def test_the_empty_blob(self):
        name = self.r.push_blob("a", b"")
        answer = expect(self.r.ask("GET", f"/v2/a/blobs/{name}"), 200)
        self.assertEqual((answer.body, answer.headers["content-length"]), (b"", "0"))

    def test_cancelled_and_unknown_uploads_are_404(self):
        where = self.r.begin("a")
        expect(self.r.ask("DELETE", where), 204)
        self.assertEqual(os.listdir(self.r.root / "uploads"), [])
        other = where.replace("/v2/a/", "/v2/b/")
        again = self.r.begin("a").replace("/v2/a/", "/v2/b/")
        for target in (where, other, again, "/v2/a/blobs/uploads/..", "/v2/a/blobs/uploads/" + "0" * 32):
            for method in ("GET", "PATCH", "DELETE"):
                self.assertEqual(self.r.ask(method, target, b"").status, 404, target)

    def test_head_tells_the_size_and_sends_nothing(self):
        name = self.r.push_blob("a", b"12345")
        answer = expect(self.r.ask("HEAD", f"/v2/a/blobs/{name}"), 200)
        self.assertEqual((answer.headers["content-length"], answer.body), ("5", b""))
        self.assertEqual(answer.headers["docker-content-digest"], name)

    def test_ranges(self):
        name = self.r.push_blob("a", b"0123456789")
        for asked, body, told in (("bytes=2-4", b"234", "2-4"), ("bytes=7-", b"789", "7-9"),
                                  ("bytes=-2", b"89", "8-9"), ("bytes=0-100", b"0123456789", "0-9")):
            answer = expect(self.r.ask("GET", f"/v2/a/blobs/{name}", Range=asked), 206)
            self.assertEqual((answer.body, answer.headers["content-range"]), (body, f"bytes {told}/10"))
        answer = expect(self.r.ask("GET", f"/v2/a/blobs/{name}", Range="bytes=10-"), 416)
        self.assertEqual(answer.headers["content-range"], "bytes */10")
        for whole in ("bytes=4-2", "lines=1-2", "bytes=0-1,4-5", "bytes=x"):
            self.assertEqual(len(expect(self.r.ask("GET", f"/v2/a/blobs/{name}", Range=whole), 200).body), 10)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{name}", Range="bytes=2-4",
                                    If_Range='"other"').status, 200)

    def test_etag(self):
        name = self.r.push_blob("a", b"x")
        etag = self.r.ask("GET", f"/v2/a/blobs/{name}").headers["etag"]
        answer = expect(self.r.ask("GET", f"/v2/a/blobs/{name}", If_None_Match=f'"y", {etag}'), 304)
        self.assertEqual(answer.body, b"")

    def test_mount_shares_a_blob(self):
        name = self.r.push_blob("a", b"shared")
        answer = expect(self.r.ask("POST", f"/v2/b/c/blobs/uploads/?mount={name}&from=a"), 201)
        self.assertEqual(answer.headers["location"], f"/v2/b/c/blobs/{name}")
        self.assertEqual(self.r.ask("GET", f"/v2/b/c/blobs/{name}").body, b"shared")
        expect(self.r.ask("DELETE", f"/v2/a/blobs/{name}"), 202)
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{name}").status, 404)
        self.assertEqual(self.r.ask("GET", f"/v2/b/c/blobs/{name}").body, b"shared")

    def test_mount_of_what_is_not_there_begins_an_upload(self):
        for query in (f"mount={digest(b'no')}&from=a", f"mount={digest(b'no')}"):
            answer = expect(self.r.ask("POST", f"/v2/b/blobs/uploads/?{query}"), 202)
            self.assertIn("/v2/b/blobs/uploads/", answer.headers["location"])
        self.assert_error(self.r.ask("POST", f"/v2/b/blobs/uploads/?mount={digest(b'no')}&from=../a"),
                          400, "NAME_INVALID")
        self.assert_error(self.r.ask("POST", "/v2/b/blobs/uploads/?mount=sha256:no&from=a"),
                          400, "DIGEST_INVALID")

    def test_a_blob_of_another_repository_is_not_seen(self):
        name = self.r.push_blob("private/one", b"secret")
        self.assert_error(self.r.ask("GET", f"/v2/other/blobs/{name}"), 404, "BLOB_UNKNOWN")

    def test_delete(self):
        name = self.r.push_blob("a", b"x")
        expect(self.r.ask("DELETE", f"/v2/a/blobs/{name}"), 202)
        self.assert_error(self.r.ask("DELETE", f"/v2/a/blobs/{name}"), 404, "BLOB_UNKNOWN")
        self.r.push_blob("a", b"x")
        expect(self.r.ask("GET", f"/v2/a/blobs/{name}"), 200)

    def test_other_methods_are_405(self):
        for method, target in (("POST", f"/v2/a/blobs/{digest(b'')}"), ("PUT", "/v2/a/tags/list"),
                               ("GET", "/v2/a/blobs/uploads/"), ("PATCH", "/v2/a/manifests/x"),
                               ("POST", "/v2/")):
            answer = self.r.ask(method, target, b"")
            self.assert_error(answer, 405, "UNSUPPORTED")
            self.assertTrue(answer.headers["allow"])


class Manifests(RegistryTest):
    def test_by_tag_and_by_digest(self):
        name = self.r.push_image("team/app", "v1", b"layer")
        for reference in ("v1", name):
            answer = expect(self.r.ask("GET", f"/v2/team/app/manifests/{reference}"), 200)
            self.assertEqual(answer.headers["content-type"], MANIFEST)
            self.assertEqual(answer.headers["docker-content-digest"], name)
            self.assertEqual(digest(answer.body), name)
            head = expect(self.r.ask("HEAD", f"/v2/team/app/manifests/{reference}"), 200)
            self.assertEqual(head.headers["content-length"], str(len(answer.body)))
        etag = answer.headers["etag"]
        expect(self.r.ask("GET", "/v2/team/app/manifests/v1", If_None_Match=etag), 304)

    def test_unknown_ones_are_404(self):
        self.assert_error(self.r.ask("GET", "/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN")
        self.assert_error(self.r.ask("GET", f"/v2/a/manifests/{digest(b'')}"), 404, "MANIFEST_UNKNOWN")
        self.assert_error(self.r.ask("DELETE", "/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN")

    def test_missing_parts_are_named_and_no_tag_appears(self):
        config = (self.r.push_blob("a", b"{}"), 2)
        missing = digest(b"missing")
        answer = self.r.ask("PUT", "/v2/a/manifests/v1", registry.image_manifest([(missing, 7)], config),
                            Content_Type=MANIFEST)
        self.assert_error(answer, 400, "MANIFEST_BLOB_UNKNOWN")
        self.assertIn(missing, answer.body.decode())
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                            "manifests": [{"mediaType": MANIFEST, "digest": missing, "size": 7}]})
        self.assert_error(self.r.ask("PUT", "/v2/a/manifests/v1", index, Content_Type=INDEX),
                          400, "MANIFEST_BLOB_UNKNOWN")
        self.assertEqual(self.r.ask("GET", "/v2/a/manifests/v1").status, 404)

    def test_an_index_of_images(self):
        one = self.r.push_image("a", "amd64", b"1")
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                           "manifests": [{"mediaType": MANIFEST, "digest": one, "size": 7}]}).encode()
        expect(self.r.ask("PUT", "/v2/a/manifests/multi", body, Content_Type=INDEX), 201)
        answer = expect(self.r.ask("GET", "/v2/a/manifests/multi", Accept=MANIFEST), 200)
        self.assertEqual((answer.body, answer.headers["content-type"]), (body, INDEX))

    def test_what_is_no_manifest_is_refused(self):
        config = (self.r.push_blob("a", b"{}"), 2)
        good = json.loads(registry.image_manifest([], config))
        layer = {"digest": config[0], "size": 2}
        for change in ({"manifests": []}, {"schemaVersion": 1}, {"schemaVersion": None}, {"config": None},
                       {"config": {"digest": "sha256:../../x", "size": 2}},
                       {"config": {"digest": "md5:" + "0" * 32, "size": 2}},
                       {"config": {**layer, "size": -5}}, {"config": {**layer, "size": 3}},
                       {"config": {**layer, "size": 2.0}}, {"layers": {}}, {"layers": [1]},
                       {"layers": [layer] * 5000}, {"mediaType": INDEX}, {"subject": {}},
                       {"annotations": {"a": 1}}):
            body = json.dumps({**good, **change})
            self.assert_error(self.r.ask("PUT", "/v2/a/manifests/v1", body, Content_Type=MANIFEST),
                              400, "MANIFEST_INVALID")
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 100):
            self.assert_error(self.r.ask("PUT", "/v2/a/manifests/v1", body, Content_Type=MANIFEST),
                              400, "MANIFEST_INVALID")
        for kind in ("application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws"):
            self.assert_error(self.r.ask("PUT", "/v2/a/manifests/v1", json.dumps({**good, "mediaType": kind}),
                                         Content_Type=kind), 400, "MANIFEST_INVALID")
        self.assertEqual(self.files("repositories/a/_manifests") if
                         (self.r.root / "repositories/a/_manifests").exists() else [], [])

    def test_a_digest_that_is_not_the_bodys(self):
        config = (self.r.push_blob("a", b"{}"), 2)
        self.assert_error(self.r.ask("PUT", f"/v2/a/manifests/{digest(b'other')}",
                                     registry.image_manifest([], config), Content_Type=MANIFEST),
                          400, "DIGEST_INVALID")

    def test_sha512_reference(self):
        body = registry.image_manifest([], (self.r.push_blob("a", b"{}"), 2))
        name = digest(body, "sha512")
        answer = expect(self.r.ask("PUT", f"/v2/a/manifests/{name}", body, Content_Type=MANIFEST), 201)
        self.assertEqual(answer.headers["docker-content-digest"], name)
        self.assertEqual(self.r.ask("GET", f"/v2/a/manifests/{name}").body, body)

    def test_more_than_four_mebibytes_are_413(self):
        for body in (b" " * ((4 << 20) + 1), [b" " * (1 << 20)] * 5):
            answer = self.r.ask("PUT", "/v2/a/manifests/v1", body, Content_Type=MANIFEST)
            self.assert_error(answer, 413, "SIZE_INVALID")

    def test_a_tag_moves_and_the_old_digest_stays(self):
        old = self.r.push_image("a", "latest", b"old")
        new = self.r.push_image("a", "latest", b"new")
        self.assertEqual(self.r.ask("GET", "/v2/a/manifests/latest").headers["docker-content-digest"], new)
        expect(self.r.ask("GET", f"/v2/a/manifests/{old}"), 200)

    def test_delete_by_tag_keeps_the_manifest(self):
        name = self.r.push_image("a", "v1", b"x")
        expect(self.r.ask("DELETE", "/v2/a/manifests/v1"), 202)
        self.assertEqual(self.r.ask("GET", "/v2/a/manifests/v1").status, 404)
        expect(self.r.ask("GET", f"/v2/a/manifests/{name}"), 200)

    def test_delete_by_digest_takes_its_tags(self):
        name = self.r.push_image("a", "v1", b"x")
        self.r.push_image("a", "v2", b"x")
        self.r.push_image("a", "other", b"y")
        expect(self.r.ask("DELETE", f"/v2/a/manifests/{name}"), 202)
        self.assertEqual(self.r.ask("GET", "/v2/a/tags/list").json()["tags"], ["other"])
        self.assertEqual(self.r.ask("GET", f"/v2/a/manifests/{name}").status, 404)

    def test_layers_that_live_elsewhere_need_not_be_there(self):
        config = (self.r.push_blob("a", b"{}"), 2)
        foreign = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
                   "digest": digest(b"elsewhere"), "size": 9, "urls": ["https://example.com/x"]}
        body = registry.image_manifest([], config, layers=[foreign])
        expect(self.r.ask("PUT", "/v2/a/manifests/v1", body, Content_Type=MANIFEST), 201)
        body = registry.image_manifest([], config, layers=[{**foreign, "urls": []}])
        self.assert_error(self.r.ask("PUT", "/v2/a/manifests/v1", body, Content_Type=MANIFEST),
                          400, "MANIFEST_BLOB_UNKNOWN")

    def test_a_rotten_manifest_is_not_served_and_a_push_heals_it(self):
        name = self.r.push_image("a", "v1", b"x")
        path = self.r.root / "blobs/sha256" / name.removeprefix("sha256:")
        path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
        answer = self.r.ask("GET", "/v2/a/manifests/v1")
        self.assertEqual(answer.status, 500)
        self.assertIn(name, answer.body.decode())
        self.r.push_image("a", "v1", b"x")
        expect(self.r.ask("GET", "/v2/a/manifests/v1"), 200)


class Referrers(RegistryTest):
    def push(self, subject: str, kind: str | None = None, **fields) -> str:
        config = (self.r.push_blob("a", b"{}"), 2)
        if kind:
            fields["artifactType"] = kind
        body = registry.image_manifest([], config, subject={"mediaType": MANIFEST, "digest": subject, "size": 7},
                                       **fields)
        answer = expect(self.r.ask("PUT", f"/v2/a/manifests/{digest(body)}", body, Content_Type=MANIFEST), 201)
        self.assertEqual(answer.headers["oci-subject"], subject)
        return digest(body)

    def test_list_and_filter(self):
        subject = digest(b"not pushed yet")
        signature = self.push(subject, "application/signature", annotations={"who": "me"})
        plain = self.push(subject)
        answer = expect(self.r.ask("GET", f"/v2/a/referrers/{subject}"), 200)
        self.assertEqual(answer.headers["content-type"], INDEX)
        found = {item["digest"]: item for item in answer.json()["manifests"]}
        self.assertEqual(set(found), {signature, plain})
        self.assertEqual(found[signature]["annotations"], {"who": "me"})
        self.assertEqual(found[plain]["artifactType"], registry.CONFIG)
        answer = self.r.ask("GET", f"/v2/a/referrers/{subject}?artifactType=application%2Fsignature")
        self.assertEqual(answer.headers["oci-filters-applied"], "artifactType")
        self.assertEqual([item["digest"] for item in answer.json()["manifests"]], [signature])
        expect(self.r.ask("DELETE", f"/v2/a/manifests/{signature}"), 202)
        answer = self.r.ask("GET", f"/v2/a/referrers/{subject}")
        self.assertEqual([item["digest"] for item in answer.json()["manifests"]], [plain])

    def test_none_are_an_empty_list_and_a_bad_digest_is_400(self):
        self.assertEqual(expect(self.r.ask("GET", f"/v2/a/referrers/{digest(b'')}"), 200).json()["manifests"], [])
        self.assert_error(self.r.ask("GET", "/v2/a/referrers/sha256:x"), 400, "DIGEST_INVALID")

    def test_pages(self):
        subject = digest(b"s")
        names = {self.push(subject, f"application/t{index}") for index in range(5)}
        target, found = f"/v2/a/referrers/{subject}?n=2", []
        while target:
            answer = expect(self.r.ask("GET", target), 200)
            found += [item["digest"] for item in answer.json()["manifests"]]
            target = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        self.assertEqual(set(found), names)
        self.assertEqual(len(found), 5)


class Lists(RegistryTest):
    def test_tags_in_order_and_in_pages(self):
        for tag in ("b", "a", "Z", "1.0", "c", "_x"):
            self.r.push_image("team/app", tag, b"x")
        everything = ["1.0", "Z", "_x", "a", "b", "c"]
        answer = expect(self.r.ask("GET", "/v2/team/app/tags/list"), 200)
        self.assertEqual(answer.json(), {"name": "team/app", "tags": everything})
        self.assertNotIn("link", answer.headers)
        target, found = "/v2/team/app/tags/list?n=4", []
        while target:
            answer = expect(self.r.ask("GET", target), 200)
            found.append(answer.json()["tags"])
            target = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        self.assertEqual(found, [everything[:4], everything[4:]])
        self.assertEqual(self.r.ask("GET", "/v2/team/app/tags/list?last=a").json()["tags"], ["b", "c"])
        none = expect(self.r.ask("GET", "/v2/team/app/tags/list?n=0"), 200)
        self.assertEqual((none.json()["tags"], none.headers.get("link")), ([], None))
        self.assertEqual(self.r.ask("GET", "/v2/team/app/tags/list?last=..%2F..").status, 200)

    def test_bad_numbers_are_400_and_big_ones_bounded(self):
        self.r.push_image("a", "x", b"x")
        for number in ("-1", "x", "1x", "99999999999999999999999"):
            self.assertEqual(self.r.ask("GET", f"/v2/a/tags/list?n={number}").status, 400, number)
            self.assertEqual(self.r.ask("GET", f"/v2/_catalog?n={number}").status, 400, number)
        expect(self.r.ask("GET", "/v2/_catalog?n=1000000000000"), 200)

    def test_tags_of_an_unknown_repository_are_404(self):
        self.assert_error(self.r.ask("GET", "/v2/none/tags/list"), 404, "NAME_UNKNOWN")

    def test_catalog_in_order_and_in_pages(self):
        names = ["a", "a-b", "a/b", "a/b/c", "z"]
        for name in reversed(names):
            self.r.push_image(name, "x", b"x")
        self.r.push_blob("only-blobs", b"x")
        self.assertEqual(self.r.ask("GET", "/v2/_catalog").json()["repositories"], sorted(names))
        answer = self.r.ask("GET", "/v2/_catalog?n=2")
        self.assertEqual(answer.json()["repositories"], sorted(names)[:2])
        after = answer.headers["link"].partition(">")[0].removeprefix("<")
        self.assertEqual(self.r.ask("GET", after).json()["repositories"], sorted(names)[2:4])


class Hostile(RegistryTest):
    def raw(self, text: bytes, timeout: float = 20) -> bytes:
        """Everything the registry answers to these bytes until it closes."""
        with socket.create_connection((self.r.host, self.r.port), timeout) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while piece := connection.recv(65536):
                got += piece
            return got

    def test_names_that_point_elsewhere(self):
        canary = self.folder / "canary"
        canary.write_text("untouched")
        before = self.files("")
        for name in ("../canary", "..%2fcanary", "a/../../canary", "a//b", "a/./b", "A", "a%00", "%2e%2e/x",
                     "_blobs", "a/_tags", "x" * 256, "a\\..\\b"):
            for method, rest in (("GET", "/manifests/v1"), ("PUT", "/manifests/v1"), ("GET", "/tags/list"),
                                 ("POST", "/blobs/uploads/"), ("DELETE", "/manifests/v1")):
                answer = self.r.ask(method, f"/v2/{name}{rest}", b"{}")
                self.assertIn(answer.status, (400, 404), (name, rest, answer))
        for reference in ("..", "../../x", "%2e%2e", ".x", "-x", "x" * 129, "sha256:..", "sha256:" + "g" * 64):
            self.assertIn(self.r.ask("PUT", f"/v2/a/manifests/{reference}", b"{}").status, (400, 404))
        self.assertEqual(self.files(""), before)
        self.assertEqual(canary.read_text(), "untouched")

    def test_malformed_requests(self):
        for text in (b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET /v2/ HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
                     b"GET /v2/ HTTP/1.1\r\nBad Header: x\r\n\r\n",
                     b"PUT /v2/a/manifests/x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"PUT /v2/a/manifests/x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
                     b"PUT /v2/a/manifests/x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            self.assertTrue(self.raw(text).startswith(b"HTTP/1.1 400 "), text)
        self.assertEqual(self.raw(b"PATCH " + self.r.begin("a").encode() +
                                  b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), b"")
        expect(self.r.ask("GET", "/v2/"), 200)

    def test_huge_heads_are_431(self):
        for text in (b"GET /v2/" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
                     b"GET /v2/ HTTP/1.1\r\nAuthorization: Basic " + b"A" * 1_000_000 + b"\r\n\r\n"):
            with socket.create_connection((self.r.host, self.r.port), 20) as connection:
                try:
                    connection.sendall(text)
                except OSError:
                    pass  # it closes before it has read so much
                try:
                    self.assertIn(connection.recv(65536)[:12], (b"HTTP/1.1 431", b""))
                except ConnectionResetError:
                    pass
        expect(self.r.ask("GET", "/v2/"), 200)

    def test_header_values_cannot_add_headers(self):
        answer = self.r.ask("GET", "/v2/a/referrers/" + digest(b"") + "?artifactType=x%0d%0aEvil:%201&n=1")
        self.assertNotIn("evil", answer.headers)

    def test_an_answer_arrives_although_the_body_is_not_read(self):
        answer = self.r.ask("PUT", "/v2/UPPER/manifests/x", b"x" * 3_000_000)
        self.assert_error(answer, 400, "NAME_INVALID")

    def test_expect_100_continue(self):
        data = b"after the go-ahead"
        with socket.create_connection((self.r.host, self.r.port), 20) as connection:
            connection.sendall(f"POST /v2/a/blobs/uploads/?digest={digest(data)} HTTP/1.1\r\nHost: x\r\n"
                               f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n".encode())
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))
            connection.sendall(data)
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 201 "))

    def test_pipelined_requests_are_answered_in_order(self):
        got = self.raw(b"GET /v2/ HTTP/1.1\r\n\r\nGET /v2/x HTTP/1.1\r\n\r\nHEAD /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n")
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", got), [b"200", b"404", b"200"])

    def test_half_open_connections_do_not_hold_up_others(self):
        held = [socket.create_connection((self.r.host, self.r.port), 20) for _ in range(300)]
        try:
            for connection in held:
                connection.sendall(b"GET /v2/ HTTP/1.1\r\nX-Slow: ")
            expect(self.r.ask("GET", "/v2/"), 200)
        finally:
            for connection in held:
                connection.close()

    def test_a_client_that_goes_away_in_the_middle_can_go_on(self):
        data, where = random.Random(1).randbytes(2_000_000), self.r.begin("a")
        with socket.create_connection((self.r.host, self.r.port), 20) as connection:
            connection.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n".encode() +
                               data[:1_000_000])
            self.r.wait_for(lambda: self.r.ask("GET", where).headers["range"] == "0-999999")
        got = int(self.r.ask("GET", where).headers["range"].split("-")[1]) + 1
        expect(self.r.ask("PATCH", where, data[got:], Content_Range=f"{got}-{len(data) - 1}"), 202)
        expect(self.r.ask("PUT", f"{where}?digest={digest(data)}"), 201)

    def test_a_second_request_takes_over_a_stalled_upload(self):
        data, where = b"x" * 100_000, self.r.begin("a")
        with socket.create_connection((self.r.host, self.r.port), 20) as stalled:
            stalled.sendall(f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 10)
            self.r.wait_for(lambda: self.r.ask("GET", where).headers["range"] == "0-9")
            expect(self.r.ask("PUT", f"{where}?digest={digest(data)}", data[10:], Content_Range="10-99999"), 201)
            stalled.sendall(b"x" * 10)
            self.assertTrue(stalled.recv(1000).startswith(b"HTTP/1.1 409 "))
        self.assertEqual(self.r.ask("GET", f"/v2/a/blobs/{digest(data)}").body, data)


class Limits(RegistryTest):
    """How long the registry waits for a client, and for how many clients."""

    def served(self, *options) -> None:
        self.r.stop()
        self.r = Registry(self.folder / "root", *options)
        self.r.__enter__()
        self.addCleanup(self.r.__exit__)

    def connection(self, text: bytes = b"") -> socket.socket:
        connection = self.enterContext(socket.create_connection((self.r.host, self.r.port), 20))
        connection.sendall(text)
        return connection

    def busy(self, size: int = 1000) -> tuple[socket.socket, bytes]:
        """A connection whose upload the registry waits for, and the rest of it."""
        data = os.urandom(size)
        connection = self.connection(f"POST /v2/a/blobs/uploads/?digest={digest(data)} HTTP/1.1\r\nHost: x\r\n"
                                     f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n".encode())
        self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))
        return connection, data

    def test_a_head_that_does_not_come(self):
        self.served("--head-timeout", "1s")
        self.assertEqual(self.connection(b"GET /v2/ HTTP/1.1\r\nHo").recv(100), b"")

    def test_a_body_that_stands_still(self):
        self.served("--body-timeout", "1s")
        connection, data = self.busy()
        connection.sendall(data[:10])
        self.assertEqual(connection.recv(100), b"")

    def test_an_answer_that_nobody_takes(self):
        self.served("--body-timeout", "1s")
        data = os.urandom(32 << 20)
        self.r.push_blob("a", data)
        connection = self.connection(f"GET /v2/a/blobs/{digest(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.r.wait_for(lambda: f"GET /v2/a/blobs/{digest(data)}" in self.r.log.read_text())
        got = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(1 << 20):
                got += len(piece)
        self.assertLess(got, len(data))

    def test_a_connection_without_a_next_request(self):
        self.served("--idle-timeout", "1s")
        connection = self.connection(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(connection.recv(100), b"")

    def test_idle_connections_make_room(self):
        self.served("--max-connections", "2")
        idle = [self.connection(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
        for connection in idle:
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))
        expect(self.r.ask("GET", "/v2/"), 200)
        self.assertEqual([connection.recv(100) for connection in idle], [b"", b""])

    def test_more_connections_than_allowed_wait_until_one_ends(self):
        self.served("--max-connections", "2")
        (one, data), (two, _) = self.busy(), self.busy()
        third = self.connection(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual(select.select([third], [], [], 0.5)[0], [], "answered beyond the limit")
        one.sendall(data)
        self.assertTrue(one.recv(1000).startswith(b"HTTP/1.1 201 "))
        one.close()
        self.assertTrue(third.recv(1000).startswith(b"HTTP/1.1 200 "))
        two.close()


class Access(RegistryTest):
    """With --htpasswd: the user ann, whose password is 'right'."""

    def setUp(self):
        super().setUp()
        self.r.stop()
        self.users = self.folder / "users"
        self.users.write_text("ann:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n")  # U*U
        self.r = Registry(self.folder / "root", "--htpasswd", str(self.users))
        self.r.__enter__()
        self.addCleanup(self.r.__exit__)

    @staticmethod
    def basic(user: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def test_only_with_the_right_password(self):
        answer = self.r.ask("GET", "/v2/")
        self.assert_error(answer, 401, "UNAUTHORIZED")
        self.assertTrue(answer.headers["www-authenticate"].startswith('Basic realm="'))
        for wrong in (self.basic("ann", "wrong"), self.basic("bob", "U*U"), self.basic("ann", ""), "Basic !",
                      "Bearer x", self.basic("ann\0", "U*U"), self.basic("ann", "U*U\0x")):
            self.assertEqual(self.r.ask("GET", "/v2/", Authorization=wrong).status, 401, wrong)
        for _ in range(2):
            expect(self.r.ask("GET", "/v2/", Authorization=self.basic("ann", "U*U")), 200)

    def test_nothing_is_done_without(self):
        for method, target in (("POST", "/v2/a/blobs/uploads/"), ("GET", "/v2/_catalog"),
                               ("PUT", "/v2/a/manifests/x"), ("DELETE", "/v2/a/manifests/x"), ("GET", "/other")):
            self.assertEqual(self.r.ask(method, target, b"{}").status, 401)
        self.assertEqual(os.listdir(self.r.root / "uploads"), [])

    def test_a_changed_file_counts_at_once(self):
        good = self.basic("ann", "U*U")
        expect(self.r.ask("GET", "/v2/", Authorization=good), 200)
        self.users.write_text("# nobody\n")
        expect(self.r.ask("GET", "/v2/", Authorization=good), 401)

    def test_the_password_is_not_in_the_log(self):
        self.r.ask("GET", "/v2/", Authorization=self.basic("ann", "U*U"))
        self.r.stop()
        text = self.r.log.read_text()
        self.assertIn("GET /v2/ 200", text)
        self.assertNotIn("U*U", text)
        self.assertNotIn(self.basic("ann", "U*U").split()[1], text)
        self.r.start()


class Command(unittest.TestCase):
    def run_program(self, *words, **options):
        return subprocess.run([bin_dir() / "wherry-registry", *words], capture_output=True, text=True, timeout=20,
                              stdin=subprocess.DEVNULL, **options)

    def test_help_and_version(self):
        done = self.run_program("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in ("--addr", "--root", "--htpasswd", "--tls-cert", "--tls-key", "--user", "--log-level"):
            self.assertIn(flag, done.stdout)
        self.assertRegex(self.run_program("version").stdout, r"^wherry-registry \d")

    def test_bad_words_are_named_and_exit_with_2(self):
        root = ("--root", "/nonexistent/registry")
        for words, said in (((), "command is missing"), (("server",), "'server'"), (("serve",), "'--addr'"),
                            (("serve", "--addr", ":0"), "'--root'"),
                            (("serve", "--adr", ":0", *root), "did you mean '--addr'"),
                            (("serve", "--addr"), "needs a value"), (("serve", "extra"), "'extra'"),
                            (("serve", "--addr", ":0", *root, "--tls-key", "x"), "go together")):
            done = self.run_program(*words)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(said, done.stderr)

    def test_what_cannot_be_served_is_named_and_exits_with_1(self):
        with tempfile.TemporaryDirectory(dir=os.environ["WHERRY_TEST_DISK"]) as folder:
            used = pathlib.Path(folder) / "used"
            used.mkdir()
            (used / "file").touch()
            users = pathlib.Path(folder) / "users"
            users.write_text("ann:plain\n")
            root = ("--root", f"{folder}/root")
            for words, said in ((("--addr", "nowhere", *root), "'nowhere'"), (("--addr", ":99999", *root), "'--addr'"),
                                (("--addr", "203.0.113.1:1", *root), "203.0.113.1:1"),
                                (("--addr", "127.0.0.1:0", "--root", str(used)), "has 'file'"),
                                (("--addr", "127.0.0.1:0", *root, "--log-level", "loud"), "'loud'"),
                                (("--addr", "127.0.0.1:0", *root, "--upload-expiry", "soon"), "'soon'"),
                                (("--addr", "127.0.0.1:0", *root, "--head-timeout", "0s"), "'--head-timeout' '0s'"),
                                (("--addr", "127.0.0.1:0", *root, "--body-timeout", "x"), "'--body-timeout' 'x'"),
                                (("--addr", "127.0.0.1:0", *root, "--idle-timeout", "-1s"), "'--idle-timeout' '-1s'"),
                                (("--addr", "127.0.0.1:0", *root, "--max-connections", "0"), "'--max-connections' '0'"),
                                (("--addr", "127.0.0.1:0", *root, "--htpasswd", str(users)), "line 1"),
                                (("--addr", "127.0.0.1:0", *root, "--htpasswd", "/none"), "'/none'"),
                                (("--addr", "127.0.0.1:0", *root, "--tls-cert", "/none", "--tls-key", "/none"), "'/none'"),
                                (("--addr", "127.0.0.1:0", *root, "--user", "nosuchuser"), "'nosuchuser'")):
                done = self.run_program("serve", *words)
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertIn(said, done.stderr)

    def test_every_flag_is_in_the_manual_and_in_the_manual_page(self):
        pages = [(TOP / "docs/manual/registry.md").read_text(),
                 (TOP / "man/wherry-registry.1").read_text().replace("\\-", "-")]
        flags = set(re.findall("--[a-z-]+", self.run_program("--help").stdout))
        self.assertGreater(len(flags), 10)
        for flag in flags:
            for page in pages:
                self.assertIn(flag, page)

    def test_a_second_server_on_a_root_is_refused(self):
        with tempfile.TemporaryDirectory(dir=os.environ["WHERRY_TEST_DISK"]) as folder:
            with Registry(pathlib.Path(folder) / "root") as first:
                done = self.run_program("serve", "--addr", "127.0.0.1:0", "--root", str(first.root))
                self.assertEqual(done.returncode, 1, done)
                self.assertIn("another wherry-registry", done.stderr)

    def test_as_another_user(self):
        # The disk of the tests lies below a directory that only root may enter.
        with tempfile.TemporaryDirectory(dir="/run") as folder:
            os.chmod(folder, 0o755)
            with Registry(pathlib.Path(folder) / "root", "--user", "nobody") as one:
                one.push_image("a", "v1", b"x")
                status = pathlib.Path(f"/proc/{one.process.pid}/status").read_text()
                self.assertIn("\nUid:\t65534\t65534\t65534\t65534\n", status)
                self.assertIn("\nCapEff:\t0000000000000000\n", status)
                self.assertEqual((one.root.stat().st_uid, one.root.stat().st_mode & 0o777), (65534, 0o700))

    def test_sigterm_ends_idle_connections_at_once_and_lets_a_request_finish(self):
        with tempfile.TemporaryDirectory(dir=os.environ["WHERRY_TEST_DISK"]) as folder:
            with Registry(pathlib.Path(folder) / "root") as one:
                idle = one.connect()
                idle.request("GET", "/v2/")
                idle.getresponse().read()
                data = b"x" * 1000
                with socket.create_connection((one.host, one.port), 20) as busy:
                    busy.sendall(f"POST /v2/a/blobs/uploads/?digest={digest(data)} HTTP/1.1\r\nHost: x\r\n"
                                 "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode())
                    self.assertTrue(busy.recv(100).startswith(b"HTTP/1.1 100 "))
                    one.process.terminate()
                    self.assertEqual(idle.sock.recv(10), b"")
                    busy.sendall(data)
                    self.assertTrue(busy.recv(1000).startswith(b"HTTP/1.1 201 "))
                idle.close()
                self.assertEqual(one.process.wait(5), 0)
