"""The hot folder: photos that arrive in one folder are restored into another, each exactly once.

The input folder is the queue, and the journal records the state of each photo. The table at the top of
`lifecycle.py` lists these states, what is on the disk in each, and what happens after a power cut.
"""
