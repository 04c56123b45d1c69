"""The web shell: pages, errors, headers, CSRF, languages. It reads who is signed in from ``flask.g`` and knows no other room."""
