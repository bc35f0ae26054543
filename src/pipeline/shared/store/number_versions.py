"""Version numbers of the stored numbers: increase one whenever the code computes different numbers.

Cache keys contain these versions instead of the project's source, so that moving a module or editing a docstring
invalidates nothing. ``tests/test_golden_values.py`` fails if its numbers change, by more than other processors do,
without a new version: a smaller change is up to you.
"""

SAMPLING_VERSION = 1
"""Batch maxima: points, defenses, gradients, curvatures, gauges."""
ATTACK_VERSION = 1
"""Adversarial distances."""
TRAINING_VERSION = 1
"""Weights trained by this project."""
