"""The canary check: whether New is better, with the evidence."""
