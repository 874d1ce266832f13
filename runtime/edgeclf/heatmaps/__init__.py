"""Heat maps on photos: drawing them, and comparing two of them."""
