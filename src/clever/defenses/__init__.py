"""Input transformations, one per file, and BPDA, which gives them gradients."""
