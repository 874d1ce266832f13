"""From labelled photos to batches of tensors: augmentation and loader processes."""
