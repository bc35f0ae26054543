"""Input images: tensors, arrays and files converted to one batch."""
