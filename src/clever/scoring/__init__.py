"""From the maxima of one image to its scores."""
