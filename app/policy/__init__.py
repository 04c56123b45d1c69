"""Who sees which view of which element: Cedar policies, read from ``policies/``, decided for one visit at a time."""
