"""Errors and warnings that a caller can act on."""


class InputError(ValueError):
    """Invalid input. The message names the bad value and the valid ones.

    Every user error raises this, where possible before any long computation; any other exception is a bug in this
    library.
    """


class GradientMasking(UserWarning):
    """Gradients vanish at every sampled point of some scores, which are then uninformative. The message gives the
    number of these scores and a remedy."""


class NotFinite(InputError):
    """The network returned NaN or infinity. The message names the image and the point."""
