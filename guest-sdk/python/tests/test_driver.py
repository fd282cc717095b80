"""What a driver's declaration becomes, and what helpers of drivers do. Whole drivers are tried in the sandbox."""

import unittest

from everwit_guest import Failure, driver
from everwit_guest.build import entry, exports
from everwit_guest.driver import Config, HttpRequest, Steps, incomplete, parse_json, refusal, sent


def declare(**more: object) -> None:
    about = {"id": "a", "title": "A", "summary": "Asks.", "complete": lambda config, request: None}
    driver.driver(**(about | more))


class Declaring(unittest.TestCase):
    def tearDown(self) -> None:
        driver.definition = None

    def test_the_entry_exports_what_is_declared(self) -> None:
        steps = Steps(lambda config: HttpRequest(config.url("/models")), lambda status, body: [])
        declare(credentials=[{"name": "api-key", "place": "header:authorization"}], discovery=steps)
        self.assertEqual(list(exports()), ["driver/meta", "driver/codec", "driver/discovery"])
        self.assertEqual(
            entry("app"),
            "import app\nfrom everwit_guest.driver_component import Meta as EverwitDriverMeta100, Codec as EverwitDriverCodec100, "
            "Discovery as EverwitDriverDiscovery100\n",
        )
        expected = {"name": "api-key", "title": "api-key", "place": "header:authorization", "required": True}
        self.assertEqual(driver.definition and driver.definition.about["credentials"], [expected])
        with self.assertRaisesRegex(ValueError, "called twice"):
            declare()

    def test_credentials_are_checked(self) -> None:
        for entry, problem in [
            ({"name": "password", "place": "body"}, "no credential 'password'"),
            ({"name": "api-key", "place": "cookie"}, "the place 'cookie'"),
            ({"name": "api-key"}, "lacks"),
            ({"name": "api-key", "place": "body", "host": "x"}, "host"),
        ]:
            with self.assertRaisesRegex(ValueError, problem):
                declare(credentials=[entry])


class Helping(unittest.TestCase):
    def test_requests(self) -> None:
        self.assertEqual(sent(HttpRequest("https://a.example", json={"a": "ä"})), ("POST", [("content-type", "application/json")], '{"a":"ä"}'.encode()))
        self.assertEqual(sent(HttpRequest("https://a.example", {"Content-Type": "x"}, json=[], method="put")), ("PUT", [("Content-Type", "x")], b"[]"))
        self.assertEqual(sent(HttpRequest("https://a.example")), ("GET", [], b""))

    def test_configurations_that_lack_something(self) -> None:
        config = Config(api_key=None, base_url=None)
        for action in (lambda: config.url("/chat"), config.bearer):
            with self.assertRaises(Failure) as raised:
                action()
            self.assertEqual((raised.exception.kind, raised.exception.code), ("invalid-arguments", "configuration"))

    def test_failures(self) -> None:
        for status, kind, code, retryable in [
            (400, "invalid-arguments", "invalid_request", False),
            (401, "denied", "authentication", False),
            (429, "rate-limited", "rate_limited", True),
            (503, "upstream", "unavailable", True),
        ]:
            failure = refusal(status, "no")
            self.assertEqual((failure.kind, failure.code, failure.retryable, failure.message), (kind, code, retryable, f"status {status}: no"))
        with self.assertRaises(Failure) as raised:
            parse_json(b"\xff")
        self.assertEqual((raised.exception.code, incomplete().code), ("invalid_response", "invalid_response"))


if __name__ == "__main__":
    unittest.main()
