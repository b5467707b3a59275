"""The hot folder: photos that arrive in one folder are restored into another, each exactly once.

The input folder is the queue; the journal says how far each photo is. What a photo goes through, and what a
power cut leaves at each point, is told in `delivery.py`.
"""
