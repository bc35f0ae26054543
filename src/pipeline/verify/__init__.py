"""Whether a run made the committed numbers. Files in: the tables under results/, and git's copies of them.

Files out: none, it prints the largest difference of each column, and exits with 1 where one is beyond its limit.
"""
