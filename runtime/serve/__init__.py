"""The kiosk: a server for one box, with a page that customers use standing up.

    pages, phones → http/ → visits/desk.py → workbench.py → studio.py → runtime.prepared
                                   ↓              ↓
                      records.py, visit_folder.py, line.py

A *visit* is one customer. In `visits/`, `desk.py` holds the visits, `line.py` is the one queue in front of
the one warm restorer, `workbench.py` and `studio.py` do the work, and `visit_folder.py` is the only place
that touches customers' files.
"""
