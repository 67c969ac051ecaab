"""The lesson on convolution, followed on a photograph: one page, all of its numbers computed."""
