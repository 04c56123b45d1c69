"""Short help for each role's desk, and the glossary: what the words on the pages mean."""
