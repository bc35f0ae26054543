"""Numbers kept for later runs, their cache keys, and the progress of a run."""
