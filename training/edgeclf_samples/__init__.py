"""Sample data without a network: drawn photos of six penguin species, and where each shows its field mark.

`write_sample_data` writes a folder that trains like any folder of photos. Each species is told by the mark that a
birdwatcher looks for, so that a heat map can be checked against the mark's place.
"""

from edgeclf_samples.species import SPECIES
from edgeclf_samples.write_photos import SampleData, write_sample_data

__all__ = ["SPECIES", "SampleData", "write_sample_data"]
