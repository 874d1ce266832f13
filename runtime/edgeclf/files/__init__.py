"""Files and folders: atomic writes, walking, names of photos, reads with a time limit, locks."""
