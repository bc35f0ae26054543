"""Launching a stage: settings, experiments, sweeps, file paths."""
