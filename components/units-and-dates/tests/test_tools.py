"""Answers are computed in another way than the tools do: fractions, day by day, plain formulas."""

import datetime
import math
import random
import unittest
from fractions import Fraction

import units_and_dates  # noqa: F401
from everwit_guest import Failure
from everwit_guest.testing import invoke
from units_and_dates.units import TEMPERATURES, UNITS


def run(name: str, **arguments: object) -> object:
    return invoke(name, arguments).structured


class Units(unittest.TestCase):
    def test_known_conversions(self) -> None:
        for value, source, target, expected in [
            (26.2, "mi", "km", 42.1648128),
            (100, "km/h", "mph", 62.1371192237334),
            (1, "acre", "m2", 4046.8564224),
            (1, "psi", "pa", 6894.75729316836),
            (1, "hp", "w", 745.699871582270),
            (1, "gal", "l", 3.785411784),
            (2.5, "cups", None, None),
            (180, "degrees", "rad", math.pi),
            (1, "gib", "mb", 1073.741824),
            (0.1, "m", "cm", 10),
        ]:
            if target is None:
                with self.assertRaises(Failure) as raised:
                    run("convert", value=value, source=source, target="l")
                self.assertEqual(raised.exception.code, "unknown_unit")
                continue
            self.assertEqual(run("convert", value=value, source=source, target=target)["value"], float(f"{expected:.15g}"), (source, target))

    def test_every_pair_is_the_quotient_of_its_fractions(self) -> None:
        for dimension, units in UNITS.items():
            for source, factor in units.items():
                for target, other in units.items():
                    exact = Fraction(7, 4) * Fraction(factor) / Fraction(other)
                    converted = run("convert", value=1.75, source=source, target=target)
                    self.assertEqual(converted["dimension"], dimension)
                    self.assertLess(abs(Fraction(converted["value"]) / exact - 1), Fraction(1, 10**14), (source, target))

    def test_temperatures_by_their_fixed_points(self) -> None:
        fixed = [{"c": 0, "f": 32, "k": 273.15, "r": 491.67}, {"c": 100, "f": 212, "k": 373.15, "r": 671.67}, {"c": -40, "f": -40}]
        for point in fixed:
            for source, value in point.items():
                for target, expected in point.items():
                    self.assertEqual(run("convert", value=value, source=source, target=target)["value"], expected, (source, target))
        self.assertEqual(set(run("list_units", dimension="temperature")["temperature"]), set(TEMPERATURES))

    def test_what_cannot_be_converted_says_why(self) -> None:
        for arguments, code in [
            ({"value": 1, "source": "m", "target": "kg"}, "different_dimensions"),
            ({"value": 1, "source": "furlong", "target": "m"}, "unknown_unit"),
            ({"value": -300, "source": "c", "target": "k"}, "below_absolute_zero"),
            ({"value": 1e101, "source": "m", "target": "km"}, "too_large"),
        ]:
            with self.assertRaises(Failure) as raised:
                run("convert", **arguments)
            self.assertEqual(raised.exception.code, code)


class Dates(unittest.TestCase):
    def test_known_dates(self) -> None:
        for arguments, expected in [
            ({"date": "2026-01-31", "months": 1}, "2026-02-28"),
            ({"date": "2024-02-29", "years": 1}, "2025-02-28"),
            ({"date": "2024-01-31", "months": 1, "days": 1}, "2024-03-01"),
            ({"date": "2026-11-27", "working_days": 1}, "2026-11-30"),
            ({"date": "2026-12-24", "working_days": 1, "holidays": ["2026-12-25", "2026-12-28"]}, "2026-12-29"),
            ({"date": "2026-11-30", "working_days": -1}, "2026-11-27"),
        ]:
            self.assertEqual(run("add_to_date", **arguments)["date"], expected, arguments)
        self.assertEqual(run("add_to_date", date="2027-01-01"), {"date": "2027-01-01", "weekday": "Friday", "iso_week": "2026-W53", "day_of_year": 1})

    def test_working_days_day_by_day(self) -> None:
        chance = random.Random(7)
        for _ in range(300):
            start = datetime.date(2000, 1, 1) + datetime.timedelta(days=chance.randrange(10_000))
            length = chance.randrange(400)
            end = start + datetime.timedelta(days=length)
            holidays = {start + datetime.timedelta(days=chance.randrange(-5, 400)) for _ in range(chance.randrange(6))}
            days = [start + datetime.timedelta(days=day) for day in range(length)]
            working = sum(1 for day in days if day.isoweekday() <= 5 and day not in holidays)
            given = [day.isoformat() for day in holidays]
            counted = run("days_between", start=start.isoformat(), end=end.isoformat(), holidays=given)
            self.assertEqual((counted["days"], counted["working_days"]), (length, working))
            back = run("days_between", start=end.isoformat(), end=start.isoformat(), holidays=given)
            self.assertEqual((back["days"], back["working_days"]), (-length, -working))
            for count in (chance.randrange(1, 60), -chance.randrange(1, 60)):
                day, left, step = start, abs(count), 1 if count > 0 else -1
                while left:
                    day += datetime.timedelta(days=step)
                    left -= day.isoweekday() <= 5 and day not in holidays
                moved = run("add_to_date", date=start.isoformat(), working_days=count, holidays=given)
                self.assertEqual(moved["date"], day.isoformat(), (start, count, holidays))

    def test_a_distance_leads_back(self) -> None:
        chance = random.Random(8)
        for _ in range(300):
            start, end = sorted(datetime.date.fromordinal(chance.randrange(1, 3_652_059)) for _ in range(2))
            between = run("days_between", start=start.isoformat(), end=end.isoformat())
            moved = run("add_to_date", date=start.isoformat(), years=between["years"], months=between["months"], days=between["remaining_days"])
            self.assertEqual(moved["date"], end.isoformat())
            self.assertTrue(0 <= between["months"] < 12 and 0 <= between["remaining_days"] < 31)

    def test_the_calendar_ends(self) -> None:
        for arguments in [{"date": "9999-12-31", "days": 1}, {"date": "0001-01-01", "months": -1}, {"date": "9999-12-30", "working_days": 9}]:
            with self.assertRaises(Failure) as raised:
                run("add_to_date", **arguments)
            self.assertEqual(raised.exception.code, "out_of_range")
        with self.assertRaises(Failure) as raised:
            run("add_to_date", date="2026-02-30")
        self.assertEqual(raised.exception.code, "invalid_date")


class Numbers(unittest.TestCase):
    def test_against_the_formulas(self) -> None:
        chance = random.Random(9)
        for size in (2, 3, 10, 101):
            numbers = [round(chance.uniform(0.5, 1000), 2) for _ in range(size)]
            summary = run("describe_numbers", numbers=numbers, quantiles=10)
            exact = [Fraction(number) for number in numbers]
            mean = sum(exact) / size
            squares = sum((number - mean) ** 2 for number in exact)
            ordered = sorted(numbers)
            self.assertEqual(summary["sum"], float(sum(exact)))
            self.assertAlmostEqual(summary["mean"], float(mean), places=10)
            self.assertAlmostEqual(summary["sample_deviation"], math.sqrt(squares / (size - 1)), places=9)
            self.assertAlmostEqual(summary["population_deviation"], math.sqrt(squares / size), places=9)
            self.assertAlmostEqual(summary["geometric_mean"], math.exp(sum(map(math.log, numbers)) / size), places=8)
            for at, cut in enumerate(summary["quantiles"], 1):
                place = at * (size - 1) / 10
                low = math.floor(place)
                high = min(low + 1, size - 1)
                self.assertAlmostEqual(cut, ordered[low] + (ordered[high] - ordered[low]) * (place - low), places=9)

    def test_one_number_and_modes(self) -> None:
        one = run("describe_numbers", numbers=[5])
        self.assertEqual((one["median"], one["sample_variance"], one["quantiles"], one["population_deviation"]), (5, None, [], 0))
        self.assertEqual(run("describe_numbers", numbers=[1, 2, 2, 3, 3])["modes"], [2, 3])
        self.assertEqual(run("describe_numbers", numbers=[3, 1, 2])["modes"], [])
        self.assertIsNone(run("describe_numbers", numbers=[-1, 1])["geometric_mean"])


if __name__ == "__main__":
    unittest.main()
