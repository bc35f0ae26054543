"""Whether a run made the committed numbers. Files in: results/ and git's copy of it. Files out: none, it prints."""
