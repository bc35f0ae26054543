"""Progress of an experiment.

Files in: progress records in the store; tables of distances reused from another experiment. Files out: none; the
command prints.
"""
