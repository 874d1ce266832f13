"""This device: is it fit, how fast, how warm, and what can compute a network here."""
