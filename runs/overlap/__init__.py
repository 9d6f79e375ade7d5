"""What of an evaluation's prompts stands in the data that the graded model was trained on."""
