"""Heat maps on photos: drawing them, and how similar two of them are."""
