"""Learning a kernel from pairs of images, and saying how sure it is."""
