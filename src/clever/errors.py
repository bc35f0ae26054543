"""The errors a caller can mend."""


class InputError(ValueError):
    """What was given cannot be used. The message names the bad value and what would be valid.

    Everything that a user can get wrong raises this, before long work starts where that is possible; whatever else is
    raised is a defect of ours.
    """


class GradientMasking(UserWarning):
    """Gradients are zero, or nearly so, at every sampled point: they hide what changes the class, and scores say
    nothing. The message says for how many scores, and what to do."""


class NotFinite(InputError):
    """A network gave NaN or infinity where a score needs a number. The message says for which image, and where."""
