"""Files and folders: atomic writes, walking, names of photos, disks that may hang, locks."""
