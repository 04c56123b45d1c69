"""Officers read and verify the log: the trail, one entry in words, its proof, the whole log's verification, activity, matrix."""
