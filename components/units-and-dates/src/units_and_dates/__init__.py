"""Unit conversion, calendar arithmetic and statistics, with Python's standard library alone."""

from everwit_guest import capability

from .dates import add_to_date, days_between
from .numbers import describe_numbers
from .units import convert, list_units

capability(
    id="units-and-dates",
    title="Units and dates",
    summary="Converts units exactly, computes with calendar dates and working days, and describes lists of numbers.",
    tools=[convert, list_units, add_to_date, days_between, describe_numbers],
)
