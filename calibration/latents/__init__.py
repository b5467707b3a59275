"""Does the latent-decay loop gain by updating the latent? Measured on portraits for each package."""
