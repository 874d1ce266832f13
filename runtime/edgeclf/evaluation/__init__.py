"""How good a model file is, on photos whose classes are known."""
