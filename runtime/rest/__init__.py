"""The rest of the photo: what lies around the faces, restored by a small network of its own."""
