"""The model file: its manifest, its checks, its onnxruntime sessions, its self-test."""
