"""How a stage starts: settings, experiments, sweeps, the paths of its files."""
