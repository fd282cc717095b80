"""Computes the known answers for the tests of data-lens, independently and with the standard library only.

    python3 expected.py            writes expected.json beside this file
    python3 expected.py --check    fails if expected.json is not what this computes

Sums and means are computed with exact fractions and rounded once, at the end.
"""

import csv
import json
import statistics
import sys
from fractions import Fraction
from pathlib import Path

HERE = Path(__file__).parent


def weather():
    with open(HERE / "seattle-weather.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in ("precipitation", "temp_max", "temp_min", "wind"):
            row[name] = float(row[name])
    return rows


def cars():
    return json.loads((HERE / "cars.json").read_text())


TABLES = {"seattle-weather.csv": weather(), "cars.json": cars()}


def values(rows, column):
    return [row[column] for row in rows if row[column] is not None]


def exact_sum(numbers):
    if all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    return float(sum(map(Fraction, numbers)))


def mean(numbers):
    return float(sum(map(Fraction, numbers)) / len(numbers))


def median(numbers):
    """Between two integers it is an integer where that is exact."""
    ordered = sorted(numbers)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if isinstance(low, int) and isinstance(high, int) and (low + high) % 2 == 0:
        return (low + high) // 2
    return statistics.median(ordered)


AGGREGATES = {
    "count": len,
    "sum": exact_sum,
    "mean": mean,
    "min": min,
    "max": max,
    "median": median,
    "distinct": lambda found: len(set(found)),
}


def compute(rows, aggregates):
    result = {}
    for aggregate in aggregates:
        op, column = aggregate["op"], aggregate.get("column")
        name = aggregate.get("as") or (f"{op}_{column}" if column else op)
        found = values(rows, column) if column else rows
        result[name] = AGGREGATES[op](found) if found or op in ("count", "distinct") else None
    return result


def kind(name, found):
    if name in ("date", "Year"):
        return "date"
    if all(isinstance(value, str) for value in found):
        return "text"
    return "integer" if all(isinstance(value, int) for value in found) else "number"


def describe(rows):
    columns = []
    for name in rows[0]:
        found = values(rows, name)
        column = {
            "name": name,
            "type": kind(name, found),
            "count": len(found),
            "nulls": len(rows) - len(found),
            "distinct": len(set(found)),
            "min": min(found),
            "max": max(found),
        }
        if column["type"] in ("integer", "number"):
            column |= {"mean": mean(found), "median": median(found)}
        column["examples"] = list(dict.fromkeys(found))[:3]
        columns.append(column)
    return {"rows": len(rows), "columns": columns}


def select(rows, holds, columns=None, keys=(), offset=0, limit=100):
    found = [row for row in rows if holds(row)]
    for column, descending in reversed(keys):
        # Python's sort is stable, also in reverse; missing values go last by hand.
        present = sorted(
            (row for row in found if row[column] is not None), key=lambda row: row[column], reverse=descending
        )
        found = present + [row for row in found if row[column] is None]
    part = found[offset : offset + limit]
    shown = [{name: row[name] for name in (columns or row)} for row in part]
    result = {"matched": len(found), "returned": len(part), "rows": shown}
    if offset + len(part) < len(found):
        result["next_offset"] = offset + len(part)
    return result


def group(rows, by, aggregates, key=None, descending=False, limit=100):
    members = {}
    for row in rows:
        members.setdefault(tuple(row[column] for column in by), []).append(row)
    found = [dict(zip(by, values)) | compute(members[values], aggregates) for values in sorted(members)]
    if key:
        found.sort(key=lambda record: record[key], reverse=descending)
    return {"total": len(found), "returned": len(found[:limit]), "groups": found[:limit]}


def aggregate(rows, aggregates):
    return {"rows": len(rows), "values": compute(rows, aggregates)}


def condition(column, op, *value):
    return {"column": column, "op": op} | ({"value": value[0]} if value else {})


def cases():
    weather, cars = TABLES["seattle-weather.csv"], TABLES["cars.json"]

    def case(name, tool, arguments, result):
        return {"data": name, "tool": tool, "arguments": arguments, "result": result}

    for name, rows in TABLES.items():
        yield case(name, "describe", {}, describe(rows))

    every = [{"op": op, "column": "wind"} for op in AGGREGATES] + [{"op": "count"}]
    yield case("seattle-weather.csv", "aggregate", {"aggregates": every}, aggregate(weather, every))
    every = [{"op": op, "column": "Horsepower"} for op in AGGREGATES] + [{"op": "count", "as": "cars"}]
    yield case("cars.json", "aggregate", {"aggregates": every}, aggregate(cars, every))
    some = [{"op": op, "column": "Miles_per_Gallon"} for op in ("sum", "mean", "median")]
    some += [{"op": "min", "column": "Name"}, {"op": "distinct", "column": "Name"}]
    yield case("cars.json", "aggregate", {"aggregates": some}, aggregate(cars, some))

    per = [{"op": "count"}, {"op": "sum", "column": "precipitation"}, {"op": "median", "column": "temp_max"}]
    yield case(
        "seattle-weather.csv", "group", {"group_by": ["weather"], "aggregates": per}, group(weather, ["weather"], per)
    )
    per = [{"op": "mean", "column": "Miles_per_Gallon", "as": "mpg"}, {"op": "max", "column": "Horsepower"}]
    yield case(
        "cars.json",
        "group",
        {
            "group_by": ["Origin", "Cylinders"],
            "aggregates": per,
            "sort": [{"column": "mpg", "descending": True}],
            "limit": 4,
        },
        group(cars, ["Origin", "Cylinders"], per, "mpg", True, 4),
    )

    yield case(
        "seattle-weather.csv",
        "filter",
        {
            "conditions": [condition("temp_max", "ge", 33), condition("weather", "in", ["sun", "fog"])],
            "columns": ["date", "temp_max"],
            "sort": [{"column": "temp_max", "descending": True}, {"column": "date"}],
        },
        select(
            weather,
            lambda row: row["temp_max"] >= 33 and row["weather"] in ("sun", "fog"),
            ["date", "temp_max"],
            [("temp_max", True), ("date", False)],
        ),
    )
    yield case(
        "seattle-weather.csv",
        "filter",
        {
            "conditions": [condition("date", "starts_with", "2014/12"), condition("precipitation", "gt", 0)],
            "limit": 5,
            "offset": 10,
        },
        select(weather, lambda row: row["date"].startswith("2014/12") and row["precipitation"] > 0, offset=10, limit=5),
    )
    yield case(
        "cars.json",
        "filter",
        {"conditions": [condition("Horsepower", "is_null")], "sort": [{"column": "Miles_per_Gallon"}]},
        select(cars, lambda row: row["Horsepower"] is None, keys=[("Miles_per_Gallon", False)]),
    )
    yield case(
        "cars.json",
        "filter",
        {
            "conditions": [
                condition("Name", "contains", "toyota"),
                condition("Miles_per_Gallon", "lt", 27.5),
                condition("Cylinders", "ne", 6),
            ],
            "columns": ["Name", "Year", "Miles_per_Gallon"],
            "sort": [{"column": "Miles_per_Gallon", "descending": True}],
        },
        select(
            cars,
            lambda row: "toyota" in row["Name"]
            and row["Miles_per_Gallon"] is not None
            and row["Miles_per_Gallon"] < 27.5
            and row["Cylinders"] != 6,
            ["Name", "Year", "Miles_per_Gallon"],
            [("Miles_per_Gallon", True)],
        ),
    )


def main():
    text = json.dumps(list(cases()), indent=1) + "\n"
    target = HERE / "expected.json"
    if "--check" in sys.argv:
        sys.exit(0 if target.read_text() == text else "expected.json is out of date")
    target.write_text(text)


main()
