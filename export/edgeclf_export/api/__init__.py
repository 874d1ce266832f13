"""From a run folder to a model file that was compared with the trained network."""
