"""Cost estimate of an experiment. Files in: only conf/ and params.yaml. Files out: none; the command prints."""
