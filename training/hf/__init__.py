"""Models of the Hugging Face families in our own form: what they are, and how their tensors are named."""
