"""Arithmetic with dates of the Gregorian calendar."""

import calendar
import dataclasses
import datetime
from typing import Annotated

from everwit_guest import Failure, tool

#: How far a date is moved at most: about the length of the calendar.
MAX_MOVE = 4_000_000
MAX_HOLIDAYS = 1_000
Move = Annotated[int, {"minimum": -MAX_MOVE, "maximum": MAX_MOVE}]
Holidays = Annotated[list[datetime.date], {"maxItems": MAX_HOLIDAYS}]

WEEKEND = (5, 6)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclasses.dataclass
class Day:
    """A date with what a calendar says about it."""

    date: datetime.date
    weekday: str
    iso_week: str
    day_of_year: int


@dataclasses.dataclass
class Distance:
    """What lies between two dates, the later one not counted."""

    days: int
    working_days: int
    weeks: float
    years: int
    months: int
    remaining_days: int


@tool(effects=["read-only", "idempotent"])
def add_to_date(
    date: datetime.date, years: Move = 0, months: Move = 0, weeks: Move = 0, days: Move = 0, working_days: Move = 0, holidays: Holidays = ()
) -> Day:
    """Adds years, months, weeks, days and working days to a date, in this order; negative numbers go back. A month's last day stays in the month.

    Args:
        date: Where to begin, for example "2026-01-31"
        years: Calendar years
        months: Calendar months
        weeks: Weeks
        days: Days
        working_days: Days from Monday to Friday that are no holidays
        holidays: Dates that are no working days
    """
    try:
        moved = _add_months(date, years * 12 + months) + datetime.timedelta(weeks=weeks, days=days)
        moved = _add_working_days(moved, working_days, frozenset(holidays))
    except (OverflowError, ValueError):
        raise Failure.invalid_arguments("the result is not between the years 1 and 9999", code="out_of_range") from None
    year, week, _ = moved.isocalendar()
    return Day(moved, DAY_NAMES[moved.weekday()], f"{year:04}-W{week:02}", moved.timetuple().tm_yday)


@tool(effects=["read-only", "idempotent"])
def days_between(start: datetime.date, end: datetime.date, holidays: Holidays = ()) -> Distance:
    """Counts the days, working days, weeks, and years with months from one date to another; negative if the end comes first.

    Args:
        start: The first date
        end: The date that is not counted any more
        holidays: Dates that are no working days
    """
    first, last, sign = (start, end, 1) if start <= end else (end, start, -1)
    months = (last.year - first.year) * 12 + last.month - first.month
    if _add_months(first, months) > last:
        months -= 1
    rest = (last - _add_months(first, months)).days
    days = (last - first).days
    working = _working_days(first, last) - sum(1 for day in set(holidays) if first <= day < last and day.weekday() not in WEEKEND)
    return Distance(sign * days, sign * working, sign * round(days / 7, 6), sign * (months // 12), sign * (months % 12), sign * rest)


def _add_months(date: datetime.date, months: int) -> datetime.date:
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError
    return date.replace(year=year, month=month + 1, day=min(date.day, calendar.monthrange(year, month + 1)[1]))


def _working_days(first: datetime.date, last: datetime.date) -> int:
    """Days from Monday to Friday in [first, last): whole weeks have five, and the rest is counted."""
    weeks, rest = divmod((last - first).days, 7)
    return weeks * 5 + sum(1 for day in range(rest) if (first.weekday() + day) % 7 not in WEEKEND)


def _add_working_days(date: datetime.date, count: int, holidays: frozenset[datetime.date]) -> datetime.date:
    step = datetime.timedelta(days=1 if count >= 0 else -1)
    off = sorted(day for day in holidays if day.weekday() not in WEEKEND)
    left = abs(count)
    while left > 0:
        # Whole weeks without holidays are passed at once; the last day is stepped to, because it must be a working day.
        weeks = (left - 1) // 5
        if weeks > 0 and not any(min(date, date + step * 7 * weeks) <= day <= max(date, date + step * 7 * weeks) for day in off):
            date, left = date + step * 7 * weeks, left - 5 * weeks
            continue
        date += step
        if date.weekday() not in WEEKEND and date not in holidays:
            left -= 1
    return date
