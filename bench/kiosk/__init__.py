"""The kiosk's server: customers at once, one after the other, and while it is killed."""
