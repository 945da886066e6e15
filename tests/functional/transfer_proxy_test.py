"""Registries behind a proxy of the environment, and those that none must be asked for."""
import json
import subprocess

from harness.fake_registry import FakeRegistry
from harness.proxy import Proxy
from transfer_base import PROMPT, RegistryTest

_FAR = "198.51.100.2"
_NAME = "registry.invalid:5000"


class Proxies(RegistryTest):
    def setUp(self):
        super().setUp()
        folder = self.scratch("proxy")
        self.certificate = {"certificate": str(folder / "crt"), "key": str(folder / "key")}
        (folder / "config.json").write_text(json.dumps({"insecure-registries": ["198.51.100.0/24", _NAME]}))
        self.options = ("--config", str(folder / "config.json"))

    def ask(self, name: str, **environment) -> subprocess.CompletedProcess:
        return self.w.try_run(*self.options, "pull", name, env={**PROMPT, **environment})

    def far(self) -> FakeRegistry:
        registry = self.enterContext(FakeRegistry(address=_FAR))
        registry.repository("app").add_image("1", [self.layer("far")])
        return registry

    def test_http_goes_through_the_proxy_in_either_spelling_unless_no_proxy_says_otherwise(self):
        far = self.far()
        for variable in ("http_proxy", "HTTP_PROXY"):
            with self.subTest(variable), Proxy() as proxy:
                done = self.ask(f"{far.host}/app:1", **{variable: proxy.url})
                self.assertEqual(done.returncode, 0, done)
                self.assertIn(f"GET http://{far.host}/v2/app/manifests/1", proxy.requests)
                self.remove_images()
                proxy.requests.clear()
                for but in ("no_proxy", "NO_PROXY"):
                    self.assertEqual(self.ask(f"{far.host}/app:1", **{variable: proxy.url, but: _FAR}).returncode, 0)
                self.assertEqual(proxy.requests, [])
                self.remove_images()

    def test_https_goes_through_a_tunnel_that_resolves_the_name(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=registry", "-keyout", self.certificate["key"], "-out",
                        self.certificate["certificate"]], check=True, capture_output=True)
        with FakeRegistry(**self.certificate) as registry:
            registry.repository("app").add_image("1", [self.layer("behind")])
            host, _, port = registry.host.rpartition(":")
            with Proxy({_NAME: (host, int(port))}) as proxy:
                for variable in ("https_proxy", "HTTPS_PROXY"):
                    done = self.ask(f"{_NAME}/app:1", **{variable: proxy.url})
                    self.assertEqual(done.returncode, 0, done)
                    self.assertEqual(set(proxy.requests), {f"CONNECT {_NAME}"})
                    proxy.requests.clear()
                    self.remove_images()

    def test_a_registry_on_this_machine_needs_none(self):
        self.registry.repository("app").add_image("1", [self.layer("near")])
        done = self.ask(self.name("app", "1"), http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1")
        self.assertEqual(done.returncode, 0, done)

    def test_a_proxy_that_is_not_there_is_named(self):
        self.assert_fails(self.ask(f"{self.far().host}/app:1", http_proxy="http://127.0.0.1:1"), 1, "127.0.0.1",
                          "port 1")
