"""How far an experiment is.

Files in: records of progress in the store; tables of distances taken from another experiment. Files out: none, it
prints.
"""
