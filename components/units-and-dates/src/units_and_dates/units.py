"""Units of measurement. Factors are decimal and exact by definition, unless a comment says otherwise."""

import dataclasses
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Annotated, Literal

from everwit_guest import Failure, tool

#: Digits of a computation, and of a result.
PRECISION, DIGITS = 50, 15
MAX_MAGNITUDE = Decimal("1e100")

Dimension = Literal["length", "mass", "time", "area", "volume", "speed", "temperature", "pressure", "energy", "power", "data", "angle"]

FOOT, POUND, GRAVITY = Decimal("0.3048"), Decimal("0.45359237"), Decimal("9.80665")
INCH, MILE, NAUTICAL_MILE = FOOT / 12, FOOT * 5280, Decimal(1852)
GALLON, IMPERIAL_GALLON = Decimal("3.785411784"), Decimal("4.54609")
#: 50 digits, because no decimal number is exact.
PI = Decimal("3.1415926535897932384626433832795028841971693993751")

#: By dimension, what one of each unit is in the first one.
UNITS: dict[str, dict[str, Decimal]] = {
    "length": {
        "m": Decimal(1), "km": Decimal(1000), "cm": Decimal("0.01"), "mm": Decimal("0.001"), "um": Decimal("1e-6"), "nm": Decimal("1e-9"),
        "in": INCH, "ft": FOOT, "yd": FOOT * 3, "mi": MILE, "nmi": NAUTICAL_MILE, "au": Decimal(149597870700), "ly": Decimal(9460730472580800),
    },
    "mass": {
        "kg": Decimal(1), "g": Decimal("0.001"), "mg": Decimal("1e-6"), "t": Decimal(1000),
        "lb": POUND, "oz": POUND / 16, "st": POUND * 14, "short_ton": POUND * 2000, "long_ton": POUND * 2240, "ct": Decimal("0.0002"),
    },
    "time": {
        "s": Decimal(1), "ms": Decimal("0.001"), "us": Decimal("1e-6"), "ns": Decimal("1e-9"),
        "min": Decimal(60), "h": Decimal(3600), "d": Decimal(86400), "wk": Decimal(604800), "julian_year": Decimal(31557600),
    },
    "area": {
        "m2": Decimal(1), "km2": Decimal(10**6), "cm2": Decimal("1e-4"), "ha": Decimal(10**4), "are": Decimal(100),
        "in2": INCH**2, "ft2": FOOT**2, "yd2": (FOOT * 3) ** 2, "acre": FOOT**2 * 43560, "mi2": MILE**2,
    },
    "volume": {
        "l": Decimal(1), "ml": Decimal("0.001"), "cl": Decimal("0.01"), "m3": Decimal(1000), "cm3": Decimal("0.001"),
        "gal": GALLON, "qt": GALLON / 4, "pt": GALLON / 8, "cup": GALLON / 16, "fl_oz": GALLON / 128, "tbsp": GALLON / 256, "tsp": GALLON / 768,
        "imp_gal": IMPERIAL_GALLON, "imp_pt": IMPERIAL_GALLON / 8, "imp_fl_oz": IMPERIAL_GALLON / 160, "ft3": FOOT**3 * 1000, "bbl": GALLON * 42,
    },
    "speed": {"m/s": Decimal(1), "km/h": Decimal(1000) / 3600, "mph": MILE / 3600, "kn": NAUTICAL_MILE / 3600, "ft/s": FOOT},
    "pressure": {
        "pa": Decimal(1), "hpa": Decimal(100), "kpa": Decimal(1000), "mpa": Decimal(10**6), "bar": Decimal(10**5), "mbar": Decimal(100),
        "atm": Decimal(101325), "torr": Decimal(101325) / 760, "psi": POUND * GRAVITY / INCH**2,
    },
    "energy": {
        "j": Decimal(1), "kj": Decimal(1000), "mj": Decimal(10**6), "wh": Decimal(3600), "kwh": Decimal(3600000),
        "cal": Decimal("4.184"), "kcal": Decimal(4184), "ev": Decimal("1.602176634e-19"), "btu": Decimal("1055.05585262"), "ft_lb": FOOT * POUND * GRAVITY,
    },
    "power": {
        "w": Decimal(1), "kw": Decimal(1000), "mw": Decimal(10**6), "hp": FOOT * POUND * GRAVITY * 550, "ps": GRAVITY * 75,
    },
    "data": {
        "b": Decimal(1), "kb": Decimal(10**3), "mb": Decimal(10**6), "gb": Decimal(10**9), "tb": Decimal(10**12),
        "kib": Decimal(2**10), "mib": Decimal(2**20), "gib": Decimal(2**30), "tib": Decimal(2**40), "bit": Decimal("0.125"),
    },
    "angle": {"rad": Decimal(1), "deg": PI / 180, "grad": PI / 200, "turn": PI * 2, "arcmin": PI / 10800, "arcsec": PI / 648000},
}
#: Temperatures have a zero of their own: kelvins are `(value + offset) * factor`. Fractions, so that one zero meets another.
TEMPERATURES: dict[str, tuple[Fraction, Fraction]] = {
    "k": (Fraction(0), Fraction(1)),
    "c": (Fraction("273.15"), Fraction(1)),
    "f": (Fraction("459.67"), Fraction(5, 9)),
    "r": (Fraction(0), Fraction(5, 9)),
}
SPELLINGS = {
    "meter": "m", "metre": "m", "meters": "m", "metres": "m", "foot": "ft", "feet": "ft", "inch": "in", "inches": "in", "mile": "mi", "miles": "mi",
    "pound": "lb", "pounds": "lb", "lbs": "lb", "ounce": "oz", "ounces": "oz", "gram": "g", "grams": "g", "kilogram": "kg", "kilograms": "kg",
    "liter": "l", "litre": "l", "liters": "l", "litres": "l", "gallon": "gal", "gallons": "gal", "second": "s", "seconds": "s", "minute": "min",
    "minutes": "min", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "wk", "weeks": "wk", "celsius": "c", "°c": "c", "fahrenheit": "f",
    "°f": "f", "kelvin": "k", "kph": "km/h", "kmh": "km/h", "knot": "kn", "knots": "kn", "m²": "m2", "km²": "km2", "m³": "m3", "byte": "b", "bytes": "b",
    "degree": "deg", "degrees": "deg", "°": "deg", "µm": "um", "µs": "us",
}


@dataclasses.dataclass
class Conversion:
    """A converted value."""

    value: float
    unit: str
    dimension: str


@tool(effects=["read-only", "idempotent"])
def convert(value: float, source: Annotated[str, {"maxLength": 32}], target: Annotated[str, {"maxLength": 32}]) -> Conversion:
    """Converts a value from one unit to another of the same dimension, exactly to 15 digits. list_units names the units.

    Args:
        value: How many of the source unit
        source: Unit of the value, for example "mi", "kg" or "f"
        target: Unit of the result
    """
    dimension, first = _find(source)
    other, second = _find(target)
    if dimension != other:
        raise Failure.invalid_arguments(f"{source} is a unit of {dimension} and {target} one of {other}", code="different_dimensions")
    if abs(Decimal(value)) > MAX_MAGNITUDE:
        raise Failure.invalid_arguments("the value is larger than 1e100", code="too_large")
    with localcontext(Context(prec=PRECISION)):
        # The shortest decimal that is this float is what was meant.
        given = Decimal(repr(value))
        if dimension == "temperature":
            (offset, factor), (other_offset, other_factor) = TEMPERATURES[first], TEMPERATURES[second]
            kelvins = (Fraction(given) + offset) * factor
            if kelvins < 0:
                raise Failure.invalid_arguments(f"{value} {source} is below absolute zero", code="below_absolute_zero")
            exact = kelvins / other_factor - other_offset
            result = Decimal(exact.numerator) / exact.denominator
        else:
            result = given * UNITS[dimension][first] / UNITS[dimension][second]
        result = result.normalize(Context(prec=DIGITS))
    return Conversion(float(result), second, dimension)


@tool(effects=["read-only", "idempotent"])
def list_units(dimension: Dimension | None = None) -> dict[str, list[str]]:
    """Lists the units that convert knows, by dimension.

    Args:
        dimension: Only those of this dimension
    """
    known = {name: list(units) for name, units in UNITS.items()} | {"temperature": list(TEMPERATURES)}
    return known if dimension is None else {dimension: known[dimension]}


def _find(unit: str) -> tuple[str, str]:
    name = unit.strip().lower()
    name = SPELLINGS.get(name, name)
    for dimension, units in (UNITS | {"temperature": TEMPERATURES}).items():
        if name in units:
            return dimension, name
    raise Failure.not_found(f"there is no unit {unit!r}; list_units names them", code="unknown_unit")
