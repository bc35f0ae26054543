"""Input transformations, one file each, and BPDA, which gives them gradients."""
