"""The pictures of the samples, one function each, and the tools they are painted with."""
