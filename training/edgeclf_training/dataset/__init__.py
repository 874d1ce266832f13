"""From data folders and zips to labelled, split photos: reading, scanning, duplicates, what is left out."""
