"""Post-training static quantization whose answers are the same on every CPU."""
