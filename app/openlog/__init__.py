"""The log in the open: what outsiders fetch, the guard's witnesses, and the page where anybody checks a receipt."""
