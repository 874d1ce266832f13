"""Building, and sealing, the bytes of one model file."""
