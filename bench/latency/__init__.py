"""How long one face takes, in every form of the network that runs here."""
