"""The customers of the kiosk: their visits, what is made of their photos, and the links for their phones."""
