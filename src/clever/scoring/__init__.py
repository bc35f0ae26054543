"""Scores of images from sampled maxima."""
