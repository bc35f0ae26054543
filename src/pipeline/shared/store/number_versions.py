"""One version number for each kind of stored number, to be raised when the code gives other numbers than before.

Keys of the store contain these in the place of the project's own source: where a module moves or a docstring changes,
nothing is computed again. ``tests/test_golden_values.py`` fails when the numbers change and the version does not.
"""

SAMPLING_VERSION = 1
"""Of the batch maxima: points, defenses, gradients, curvatures, gauges."""
ATTACK_VERSION = 1
"""Of the adversarial distances."""
TRAINING_VERSION = 1
"""Of the weights trained here."""
