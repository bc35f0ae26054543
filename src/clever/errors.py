"""Errors and warnings that a caller can act on."""


class InputError(ValueError):
    """Invalid input. The message names the bad value and the valid ones.

    Every user error raises this, before long computations start where possible; any other exception is a bug in this
    library.
    """


class GradientMasking(UserWarning):
    """Gradients vanish at every sampled point, so scores are uninformative. The message gives the number of scores and
    a remedy."""


class NotFinite(InputError):
    """The network returned NaN or infinity. The message names the image and the point."""
