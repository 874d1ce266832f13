"""Post-training static quantization whose results are the same on every CPU."""
