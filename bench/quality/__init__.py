"""How near restored faces come to the truth, and how real photos without one come out."""
