"""Trained network -> one ``.onnx`` file: graph, quantization, heat maps, checks.

Needs ``pip install "edgeclf[export]"``.
"""
