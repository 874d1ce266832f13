"""Options of a training run, recipe files, and defaults of options that were not set."""
