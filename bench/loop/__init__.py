"""What the passes of the latent loop cost and what they gain."""
