"""Mean and 95 % interval over repetitions with different seeds."""

import math
import statistics

from scipy import stats


def mean_interval(values, level=0.95):
    r"""Return the mean of n independent repetitions and half the width of its interval.

    Student's t: :math:`\bar v \pm t_{n-1} \, s / \sqrt n`; half the width is None for n = 1,
    because one repetition says nothing about the spread. For a difference of two methods pass the
    differences seed by seed: they share the seed, so the interval is that of a paired comparison.

    Raises ValueError if there is no value, or a value is not finite.

    >>> mean_interval([0.95, 0.96, 0.97])[0]
    0.96
    >>> mean_interval([0.95])
    (0.95, None)
    """
    values = [float(value) for value in values]
    if not values or not all(map(math.isfinite, values)):
        raise ValueError(f"values: expected at least one, all finite, found {values}")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return mean, None
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return mean, spread * float(stats.t.ppf((1 + level) / 2, len(values) - 1))


def percent(values, signed=False, digits=1):
    """Format fractions as a percentage with its interval, for tables.

    >>> percent([0.961, 0.962, 0.963])
    '96.2 ± 0.2'
    >>> percent([0.012], signed=True)
    '+1.2'
    """
    mean, half = mean_interval(values)
    text = f"{100 * mean:{'+' if signed else ''}.{digits}f}"
    return text if half is None else f"{text} ± {100 * half:.{digits}f}"
