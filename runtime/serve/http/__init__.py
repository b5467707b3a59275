"""HTTP: routes, guards, uploads, events, and the description of the API."""
