"""Fitting a network: phases, optimiser, frozen features, and ``train`` from folders to a finished run."""
