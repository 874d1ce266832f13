"""Photo folder -> trained network: data, augmentation, architectures, fitting.

Needs ``pip install "edgeclf[train]"``.
"""
