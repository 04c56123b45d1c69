"""The witness that Bawaslu runs: its own key, its own state, without Gardu's database."""
