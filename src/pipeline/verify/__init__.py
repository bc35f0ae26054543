"""Comparison of a run with the committed numbers. Files in: the tables under results/ and their committed versions.

Files out: none; the command prints the largest difference of each column and exits with 1 if one exceeds its limit.
"""
