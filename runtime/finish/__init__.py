"""From restored crops back to the photo: composition, finishing steps, pasting."""
