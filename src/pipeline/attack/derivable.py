"""Which defenses have a derivative of their own to attack with."""

from clever.bpda import Transformation
from clever.ensemble import Expectation
from clever.median import Median
from clever.noise import Noise
from clever.separable import Crop, GaussianBlur, ResizePad
from clever.transforms import parts

DERIVABLE = (GaussianBlur, Crop, ResizePad, Noise, Median)


def derivable(defense: Transformation) -> bool:
    """Whether the defense is known to have a derivative that leads somewhere and costs little: then it is the better
    one to attack with, above all where pixels are moved, of which the identity knows nothing.
    """
    if isinstance(defense, Expectation):
        return derivable(defense.transformation)
    return bool(parts(defense)) and all(isinstance(part, DERIVABLE) for part in parts(defense))
