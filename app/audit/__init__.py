"""The log: entries chained, hashed into a tree and signed; sees bytes only, never what a payload holds."""
