"""The queries of the shop's pages: functions that return a ``Select`` and hold no session."""
