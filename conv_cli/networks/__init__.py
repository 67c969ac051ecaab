"""Networks of layers: convolution, pooling and pointwise functions, forward and backward."""
