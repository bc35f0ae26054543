"""What a user gives: tensors, arrays and picture files, as batches of images."""
