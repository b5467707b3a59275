"""Where faces are in a photo: detection, alignment, parsing, regions, and areas that hold no information."""
