"""Cutoffs of the profile likelihood for intervals of the end point, by simulation (benchmarks/cutoffs.py).

Twice the drop of the log likelihood from its maximum to the true end point exceeds the cutoff in 2.5 % of samples on
each side. Standard asymptotics give 3.84, the quantile of chi squared, for many maxima and shapes above 2; they do not
apply to few maxima or to shapes up to 2 (Smith, Biometrika 72, 1985).
"""

import numpy as np

from clever.extreme_value.weibull import Array

SIZES = (5, 8, 12, 16, 24, 32, 64, 128, 512, 1024)
"""N_b: the rows of the tables."""
RECIPROCAL_SHAPES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
"""The columns of the tables; 0 is the Gumbel law."""
LOW = np.array(
    [
        [0.00, 0.17, 0.41, 0.73, 1.03, 1.41, 1.77, 1.89, 1.86, 1.79, 1.47],  # 5
        [0.00, 0.26, 0.59, 1.14, 1.45, 1.94, 2.22, 2.16, 1.79, 1.47, 1.00],  # 8
        [0.00, 0.36, 0.82, 1.48, 1.88, 2.34, 2.35, 1.94, 1.50, 0.93, 0.55],  # 12
        [0.00, 0.44, 0.96, 1.64, 2.09, 2.55, 2.53, 1.85, 1.42, 0.71, 0.34],  # 16
        [0.00, 0.54, 1.21, 2.06, 2.55, 3.00, 2.34, 1.84, 1.23, 0.64, 0.15],  # 24
        [0.00, 0.66, 1.46, 2.35, 2.83, 2.95, 2.34, 1.74, 1.15, 0.50, 0.09],  # 32
        [0.00, 0.88, 1.89, 2.99, 3.31, 3.15, 2.37, 1.69, 0.98, 0.31, 0.01],  # 64
        [0.00, 1.26, 2.54, 3.42, 3.45, 3.14, 2.54, 1.84, 1.01, 0.32, 0.00],  # 128
        [0.00, 2.17, 3.64, 3.55, 3.44, 3.35, 2.63, 2.05, 1.08, 0.35, 0.00],  # 512
        [0.00, 2.87, 3.89, 3.55, 3.69, 3.27, 2.79, 2.09, 1.12, 0.33, 0.00],  # 1024
    ]
)
"""Cutoffs where the true end point is below the estimate."""
HIGH = np.array(
    [
        [6.62, 6.52, 6.77, 6.47, 6.47, 6.38, 5.88, 5.66, 5.23, 4.86, 4.54],  # 5
        [6.95, 6.87, 7.14, 7.01, 6.99, 7.09, 6.89, 6.55, 5.92, 5.67, 4.93],  # 8
        [6.17, 6.25, 6.30, 6.27, 6.76, 6.89, 6.97, 7.01, 6.69, 6.09, 5.34],  # 12
        [5.11, 5.39, 5.31, 5.61, 5.90, 6.22, 7.00, 6.97, 6.92, 6.33, 5.65],  # 16
        [4.71, 4.95, 4.89, 5.03, 4.98, 5.76, 6.26, 7.04, 7.23, 6.65, 5.65],  # 24
        [4.58, 4.76, 4.64, 4.82, 4.96, 5.17, 5.88, 6.42, 6.98, 6.83, 5.95],  # 32
        [4.15, 4.34, 4.41, 4.50, 4.76, 4.88, 5.11, 5.99, 6.68, 7.06, 6.02],  # 64
        [4.15, 3.84, 4.03, 4.25, 4.35, 4.47, 5.18, 5.47, 6.25, 7.12, 6.44],  # 128
        [4.06, 4.17, 3.82, 4.10, 4.24, 4.23, 4.57, 5.22, 5.57, 6.57, 6.60],  # 512
        [3.82, 3.91, 3.94, 3.88, 3.89, 4.12, 4.55, 5.08, 5.60, 6.37, 7.02],  # 1024
    ]
)
"""Cutoffs where the true end point is above the estimate."""


def cutoffs(n: int, reciprocal_shapes: Array) -> tuple[Array, Array]:
    """The cutoffs for samples of n maxima, below and above the estimate, each shaped like ``reciprocal_shapes``.

    Interpolated linearly in the reciprocal shape and in log N_b; outside the tables, the nearest row.
    """
    position = np.interp(np.log(n), np.log(SIZES), np.arange(len(SIZES)))
    row, share = int(position), position - int(position)

    def cutoff(table: Array) -> Array:
        interpolated = (1 - share) * table[row] + share * table[min(row + 1, len(SIZES) - 1)]
        values: Array = np.interp(reciprocal_shapes, RECIPROCAL_SHAPES, interpolated)
        return values

    return cutoff(LOW), cutoff(HIGH)
