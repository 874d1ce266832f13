"""Graph passes: torch to ONNX, the Grad-CAM branch, smaller files."""
