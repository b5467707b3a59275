"""What portraits say of a package: latent statistics, and later activation ranges and quantisation."""
