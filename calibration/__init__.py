"""What portraits say of a package: latent statistics, what half precision would do to it, INT8."""
