"""What declarations become, and what happens in a call."""

import dataclasses
import datetime
import enum
import logging
import unittest
from typing import Annotated, Any, Literal, TypedDict

from everwit_guest import Blob, Context, Data, Failure, Link, Output, Text, _definition, _documentation, _failure, _log, _schema, capability, tool
from everwit_guest import call, files, http, kv, secrets
from everwit_guest.build import canonical, entry, leb128, with_section
from everwit_guest.testing import HttpFault, Reply, host, invoke


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    """A place
    on the plane."""

    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    limit: int


@tool(effects=["read-only"])
def move(ctx: Context, point: Point, on: datetime.date, colours: set[Colour], tags: list[str] = [], by: Annotated[int, {"minimum": 1}] = 1) -> Point:
    """Moves a point.

    Use it for points.

    Args:
        point: What is moved
            and where from
        colours (set): Colours

    Returns:
        Nothing of this is for the model.
    """
    assert isinstance(on, datetime.date) and isinstance(point, Point)
    logging.getLogger("app").warning("moving %s", ctx.locale, extra={"colours": sorted(colour.name for colour in colours)})
    return Point(point.x + by, point.y + len(tags))


@tool(title="Any")
def give(what: str) -> Any:
    """Gives."""
    values = {
        "text": "größe",
        "parts": Output([Text("a"), Link("https://example.com", "e"), Blob("image/png", b"\x89")], {"n": 1}),
        "mapping": {Colour.RED: [datetime.date(2026, 1, 2), (1, None)]},
        "nan": float("nan"),
        "object": object(),
    }
    return values[what]


@tool
def fail(how: Literal["failure", "exception", "exit", "broken"]) -> None:
    """Fails."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise {
        "failure": Failure("rate-limited", "slow down", retryable=True, retry_after_ms=5),
        "exception": ValueError("no such größe"),
        "exit": SystemExit(2),
        "broken": Broken(),
    }[how]


capability(
    id="probe", title="Probe", summary="For tests.", tools=[move, give, fail], config=Options, kv=["notes"],
    http=["a.example", {"host": "b.example", "methods": ["POST"], "path_prefix": "/v1"}],
    secrets=[{"name": "key", "host": "a.example", "place": "header:authorization"}],
)


class Declarations(unittest.TestCase):
    def test_a_tool_is_described_by_signature_and_docstring(self) -> None:
        described = _definition.description()
        found = described["tools"][0]
        self.assertEqual((found["name"], found["title"]), ("move", "Move"))
        self.assertEqual(found["description"], "Moves a point.\n\nUse it for points.")
        self.assertEqual(found["effects"], {"read_only": True, "destructive": False, "idempotent": False, "open_world": False})
        properties = found["input_schema"]["properties"]
        self.assertEqual(sorted(properties), ["by", "colours", "on", "point", "tags"], "the context is no argument")
        self.assertEqual(found["input_schema"]["required"], ["point", "on", "colours"])
        self.assertEqual(properties["point"]["description"], "What is moved and where from")
        self.assertEqual(properties["colours"], {"description": "Colours", "items": {"enum": ["red", "blue"]}, "type": "array"})
        self.assertEqual(properties["on"], {"format": "date", "type": "string"})
        self.assertEqual(properties["by"], {"minimum": 1, "type": "integer"})
        self.assertEqual(found["output_schema"]["properties"]["x"], {"type": "number"})
        self.assertEqual(described["config_schema"]["properties"], {"limit": {"type": "integer"}})
        self.assertNotIn("required", described["config_schema"])
        asked = described["permissions"]
        self.assertEqual(asked["http"][0], {"host": "a.example", "methods": [], "reason": ""})
        self.assertEqual(asked["http"][1]["path_prefix"], "/v1")
        self.assertEqual(asked["secrets"][0]["title"], "key")

    def test_types(self) -> None:
        for hint, schema in [
            (int | None, {"type": ["integer", "null"]}),
            (Point | None, {"anyOf": [_schema.schema_of(Point), {"type": "null"}]}),
            (Literal["a", 1], {"enum": ["a", 1]}),
            (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
            (tuple[int, str], {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2}),
            (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
            (Any, {}),
        ]:
            self.assertEqual(_schema.schema_of(hint), schema, hint)
        self.assertEqual(_schema.schema_of(Point)["description"], "A place on the plane.")
        with self.assertRaisesRegex(TypeError, "has no form in JSON"):
            _schema.schema_of(complex)

    def test_values_of_types(self) -> None:
        for hint, given, expected in [
            (float, 3, 3.0),
            (datetime.datetime, "2026-01-02T03:04:05Z", datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)),
            (list[Point], [{"x": 1}], [Point(1.0)]),
            (dict[str, datetime.date], {"a": "2026-01-02"}, {"a": datetime.date(2026, 1, 2)}),
            (tuple[float, str], [1, "a"], (1.0, "a")),
            (Point | None, None, None),
            (Colour, "red", Colour.RED),
        ]:
            self.assertEqual(_schema.loader_of(hint)(given), expected, hint)
        self.assertIsNone(_schema.loader_of(list[str]))
        with self.assertRaisesRegex(Failure, "is no date"):
            _schema.loader_of(datetime.date)("2026-02-30")

    def test_mistakes_are_named(self) -> None:
        def bare(a: int) -> None: ...

        def untyped(a) -> None:  # noqa: ANN001
            """Does."""

        def stray(a: int) -> None:
            """Does.

            Args:
                b: Not there
            """

        def variadic(*a: int) -> None:
            """Does."""

        for function, says in [(bare, "no docstring"), (untyped, "has no type"), (stray, "are no parameters"), (variadic, "by their names")]:
            with self.assertRaisesRegex(ValueError, says):
                tool(function)
        with self.assertRaisesRegex(ValueError, "harmless"):
            tool(effects=["harmless"])(stray)
        with self.assertRaisesRegex(ValueError, "called twice"):
            capability(id="x", title="x", summary="x", tools=[])

    def test_docstrings(self) -> None:
        self.assertEqual(_documentation.split(None), ("", {}))
        text, parameters = _documentation.split("Does.\n\nArguments:\n  a: One: two\n  *b (int): Three\n\nExample:\n  x")
        self.assertEqual((text, parameters), ("Does.\n\n  x", {"a": "One: two", "b": "Three"}))


class Calls(unittest.TestCase):
    def setUp(self) -> None:
        host.reset()
        _log.install()

    def test_arguments_arrive_as_their_types(self) -> None:
        output = invoke("move", {"point": {"x": 1}, "on": "2026-01-02", "colours": ["red"], "tags": ["a"]}, locale="de")
        self.assertEqual(output.structured, {"x": 2.0, "y": 1.0})
        self.assertEqual(host.logs, [("warn", "moving de", {"colours": "['RED']", "logger": "app"})])

    def test_results(self) -> None:
        self.assertEqual(invoke("give", {"what": "text"}), Output([Text("größe")]))
        self.assertEqual(invoke("give", {"what": "parts"}).structured, {"n": 1})
        self.assertEqual(invoke("give", {"what": "mapping"}), Output([Data({"red": ["2026-01-02", [1, None]]})], {"red": ["2026-01-02", [1, None]]}))
        for what in ("nan", "object"):
            with self.assertRaises(Failure) as raised:
                invoke("give", {"what": what})
            self.assertEqual(raised.exception.kind, "internal")

    def test_failures_and_exceptions(self) -> None:
        with self.assertRaises(Failure) as raised:
            invoke("fail", {"how": "failure"})
        self.assertEqual((raised.exception.kind, raised.exception.code, raised.exception.retry_after_ms), ("rate-limited", "rate_limited", 5))
        self.assertEqual(host.logs, [])
        for how, says in [("exception", r"^ValueError: no such größe \(test_sdk.py:\d+ in fail\)$"), ("exit", "SystemExit: 2"), ("broken", "Broken")]:
            with self.assertRaisesRegex(Failure, says) as raised:
                invoke("fail", {"how": how})
            self.assertEqual((raised.exception.kind, raised.exception.code), ("internal", "exception"))
        self.assertIn("Traceback", host.logs[0][2]["stack"])
        with self.assertRaisesRegex(Failure, "the tools are: move, give, fail"):
            invoke("none")

    def test_text_is_cut_between_characters(self) -> None:
        self.assertEqual(_failure.limited("aäb", 2), "a")
        self.assertEqual(_failure.limited("\ud800", 9), "\ufffd\ufffd\ufffd")

    def test_buckets(self) -> None:
        host.buckets["notes"] = {}
        bucket = kv.Bucket("notes")
        self.assertEqual((bucket.get("a"), bucket.get_json("a", 7)), (None, 7))
        self.assertEqual((bucket.put_json("a", {"n": 1}), bucket.put("b", b"x")), (1, 1))
        self.assertEqual(bucket.update("a", lambda value: value["n"] + 1), 2)
        self.assertEqual((list(bucket.keys()), bucket.get("a")), (["a", "b"], kv.Entry(b"2", 2)))
        with self.assertRaises(Failure) as raised:
            bucket.put("a", b"", expected=0)
        self.assertEqual((raised.exception.kind, raised.exception.retryable), ("conflict", True))
        with self.assertRaisesRegex(Failure, "grant kv 'other'"):
            kv.Bucket("other").get("a")

    def test_files(self) -> None:
        host.files["/notes/a.txt"] = b"abc"
        with self.assertRaisesRegex(Failure, "grant files 'read'"):
            files.read("notes/a.txt")
        host.file_access = "read"
        self.assertEqual(files.read_text("/workspace/notes/a.txt"), "abc")
        piece = files.read("notes/a.txt", 1, 1)
        self.assertEqual((piece.value, piece.size), (b"b", 3))
        for path, code in [("none", "file_not_found"), ("notes", "file_unfit"), ("notes/../a", "invalid_path")]:
            with self.assertRaises(Failure) as raised:
                files.read(path)
            self.assertEqual(raised.exception.code, code)
        with self.assertRaisesRegex(Failure, "grant files 'write'"):
            files.write("b", "")
        host.file_access = "write"
        revision = files.write("notes/b.txt", "one", files.ABSENT)
        self.assertEqual(files.stat("notes/b.txt").revision, revision)
        with self.assertRaises(Failure) as raised:
            files.write("notes/b.txt", "two", "another")
        self.assertEqual((raised.exception.kind, raised.exception.retryable), ("conflict", True))
        self.assertEqual([entry.path for entry in files.entries()], ["/notes"])
        self.assertEqual([entry.path for entry in files.entries(recursive=True)], ["/notes", "/notes/a.txt", "/notes/b.txt"])
        self.assertEqual((files.remove("notes/b.txt"), files.remove("notes/b.txt"), files.stat("notes/b.txt")), (True, False, None))

    def test_requests(self) -> None:
        host.replies = {
            "GET https://a.example/?q=%C3%A4&q=b": Reply(body=b'{"n":1}', headers=[("x", "1"), ("x", "2")]),
            "POST https://a.example/": Reply(status=503, retry_after_ms=9),
            "GET https://a.example/late": HttpFault("timeout", "too late"),
        }
        answer = http.get("https://a.example/", query={"q": ["ä", "b"]}).ensure_ok()
        self.assertEqual((answer.json(), answer.headers), ({"n": 1}, {"x": "1, 2"}))
        with self.assertRaises(Failure) as raised:
            http.post("https://a.example/", json={"a": Colour.RED}).ensure_ok()
        self.assertEqual((raised.exception.code, raised.exception.retryable, raised.exception.retry_after_ms), ("http_503", True, 9))
        self.assertEqual((host.requests[-1].body, host.requests[-1].headers), (b'{"a":"red"}', [("content-type", "application/json")]))
        for url, kind in [("https://a.example/late", "timeout"), ("https://other.example/", "denied")]:
            with self.assertRaises(Failure) as raised:
                http.get(url)
            self.assertEqual(raised.exception.kind, kind)

    def test_secrets_and_the_call(self) -> None:
        host.secrets["key"] = "placeholder"
        self.assertEqual(secrets.token("key"), "placeholder")
        with self.assertRaisesRegex(Failure, "bind the secret 'none'"):
            secrets.token("none")
        call.progress(1, 2, "half")
        self.assertEqual((host.reported, call.stopped(), call.remaining_ms()), ([(1, 2, "half")], None, 30_000))
        host.stop = "cancelled"
        self.assertEqual(call.stopped(), "cancelled")
        with self.assertRaisesRegex(call.Stopped, "cancelled"):
            call.progress(2)


class Building(unittest.TestCase):
    def test_the_entry_exports_what_is_declared(self) -> None:
        self.assertEqual(
            entry("app"),
            "import app\nfrom everwit_guest.component import Describe as EverwitCapabilityDescribe100, Tools as EverwitCapabilityTools100\n",
        )

    def test_the_section(self) -> None:
        self.assertEqual([leb128(value) for value in (0, 127, 128, 624485)], [b"\0", b"\x7f", b"\x80\x01", b"\xe5\x8e\x26"])
        self.assertEqual(with_section(b"\0asm", "n", b"{}"), b"\0asm\0\x04\x01n{}")
        self.assertTrue(canonical({"a": "ä", "b": 1}) == '{"a":"ä","b":1}'.encode())


if __name__ == "__main__":
    unittest.main()
