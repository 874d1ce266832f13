"""For months in the field: records that are never lost, watched folders, photos for review."""
