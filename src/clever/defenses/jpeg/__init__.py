"""JPEG: the codec and its linear model."""
