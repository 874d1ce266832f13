"""The accuracy of a model file on photos whose classes are known."""
