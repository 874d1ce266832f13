"""Is the file as good as the trained network? Predictions, the gate, the golden photos."""
