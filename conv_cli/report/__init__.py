"""What people look at: kernels drawn as text and as pictures, and what there is to say of them."""
