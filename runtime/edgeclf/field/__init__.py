"""Months in the field: records that are never lost, folders that are watched, photos to review."""
