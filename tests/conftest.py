"""What holds for every test."""

from __future__ import annotations

import signal
import threading

from hypothesis import settings

# A busy machine makes a slow example, not a wrong one.
settings.register_profile("kodo", deadline=None)
settings.load_profile("kodo")

# A shell starts what it runs in the background with Ctrl-C ignored, and programs hand that on: those that the tests
# interrupt would never hear of it.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
