"""The kiosk: a server for one box, with a page that customers use standing up.

    pages, phones → api/ → desk.py → line.py → studio.py → runtime.prepared
                              ↓
                    store.py, visit_folder.py

A *visit* is one customer. `desk.py` holds the visits, `line.py` is the one queue in front of the one warm
restorer, `studio.py` does the work, and `visit_folder.py` is the only place that touches customers' files.
"""
