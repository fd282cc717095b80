"""Statistics of a list of numbers."""

import dataclasses
import math
import statistics
from typing import Annotated

from everwit_guest import Failure, tool

MAX_NUMBERS = 20_000
MAX_QUANTILES = 100


@dataclasses.dataclass
class Summary:
    """What describes a list of numbers. Deviations and variance are absent for a single one."""

    count: int
    sum: float
    mean: float
    median: float
    minimum: float
    maximum: float
    modes: list[float]
    geometric_mean: float | None
    sample_variance: float | None
    sample_deviation: float | None
    population_deviation: float
    quantiles: list[float]


@tool(effects=["read-only", "idempotent"])
def describe_numbers(
    numbers: Annotated[list[float], {"minItems": 1, "maxItems": MAX_NUMBERS}],
    quantiles: Annotated[int, {"minimum": 2, "maximum": MAX_QUANTILES}] = 4,
) -> Summary:
    """Describes a list of numbers: sum, mean, median, modes, spread and quantiles. Sums are exact before they are rounded once.

    Args:
        numbers: The numbers
        quantiles: Into how many parts of equal size they are divided; the cut points are linear between neighbours, extremes included
    """
    if any(abs(number) > 1e150 for number in numbers):
        raise Failure.invalid_arguments("a number is larger than 1e150", code="too_large")
    several = len(numbers) > 1
    modes = statistics.multimode(numbers)
    return Summary(
        count=len(numbers),
        sum=math.fsum(numbers),
        mean=statistics.mean(numbers),
        median=statistics.median(numbers),
        minimum=min(numbers),
        maximum=max(numbers),
        # If no value comes twice, none is more frequent than another.
        modes=modes if len(modes) < len(numbers) or not several else [],
        geometric_mean=statistics.geometric_mean(numbers) if min(numbers) > 0 else None,
        sample_variance=statistics.variance(numbers) if several else None,
        sample_deviation=statistics.stdev(numbers) if several else None,
        population_deviation=statistics.pstdev(numbers),
        quantiles=statistics.quantiles(numbers, n=quantiles, method="inclusive") if several else [],
    )
