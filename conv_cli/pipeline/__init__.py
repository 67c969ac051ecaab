"""From image files to feature maps in files: filter, range, names, run."""
